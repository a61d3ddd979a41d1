"""One write for many, one look for many; nobody is harmed by another's end."""

import asyncio
from collections.abc import Sequence

import pytest

from cloudflare_ops.coalesce import LINGER, LONGEST, Census, Group, PostponedError, SharedLook, Ticket
from fsm.errors import NotLeadingError, TransientError
from fsm.observation import NEVER
from tests.k8s.virtual import now, virtual

OOPS = TransientError("Oops", "no")


class Writer:
    """Notes what is written together; a wish below zero fails, and what is beyond `capacity` has to wait."""

    def __init__(self, *, pace: float = 0.0, capacity: int = 1000) -> None:
        self.census = Census()
        self.writes: list[list[int]] = []
        self.begun: list[float] = []
        self.error: Exception | None = None
        self.capacity = capacity
        self.group: Group[int] = Group(self.write, census=self.census, now=now, pace=lambda: pace)
        self.task = asyncio.create_task(self.group.run())

    async def write(self, tickets: Sequence[Ticket[int]]) -> None:
        self.writes.append([ticket.wish for ticket in tickets])
        self.begun.append(now())
        for ticket in tickets[self.capacity :]:
            ticket.error = PostponedError()
        await asyncio.sleep(1)
        if self.error is not None:
            raise self.error
        for ticket in tickets[: self.capacity]:
            ticket.error = OOPS if ticket.wish < 0 else None

    async def session(self, wish: int, work: float = 0.0) -> None:
        with self.census.running():
            await asyncio.sleep(work)
            await self.group.join(wish)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@virtual
async def test_a_write_waits_for_whoever_can_still_add_and_for_nobody_else() -> None:
    writer = Writer()
    began = now()
    await asyncio.gather(*(writer.session(number, work=number / 10) for number in range(10)))
    assert writer.writes == [list(range(10))]
    assert now() - began == pytest.approx(0.9 + 1)
    await writer.stop()


@virtual
async def test_a_slow_session_delays_the_others_by_two_seconds_at_most() -> None:
    writer = Writer()
    begin = now()
    await asyncio.gather(writer.session(1), writer.session(2, work=1), writer.session(3, work=1 + LINGER + 0.1))
    assert writer.writes == [[1, 2], [3]]
    assert writer.begun == [begin + 1 + LINGER, begin + 1 + LINGER + 1]
    await writer.stop()


@virtual
async def test_a_group_that_grows_goes_on_but_no_wish_waits_for_others_longer_than_ten_seconds() -> None:
    writer = Writer()
    begin = now()
    await asyncio.gather(*(writer.session(number, work=number * 1.5) for number in range(10)))
    assert writer.writes == [[0, 1, 2, 3, 4, 5, 6], [7, 8, 9]]
    assert writer.begun == [begin + LONGEST, begin + 13.5]
    await writer.stop()


@virtual
async def test_sessions_woken_by_a_write_come_first_into_the_next_group() -> None:
    writer, after = Writer(), Writer()
    after.group._census = writer.census

    async def journey(number: int) -> None:
        with writer.census.running():
            await writer.group.join(number)
            for _ in range(number % 5):
                await asyncio.sleep(0)
            await after.group.join(number)

    await asyncio.gather(*(journey(number) for number in range(100)))
    assert [len(write) for write in after.writes] == [100]
    await asyncio.gather(writer.stop(), after.stop())


@virtual
async def test_a_wish_that_came_during_a_write_waits_for_those_whom_that_write_wakes() -> None:
    writer = Writer()

    async def twice(number: int) -> None:
        with writer.census.running():
            await writer.group.join(number)
            await writer.group.join(number)

    async def later() -> None:
        await asyncio.sleep(0.5)
        await writer.session(99)

    await asyncio.gather(*(twice(number) for number in range(50)), later())
    assert [len(write) for write in writer.writes] == [50, 51]
    await writer.stop()


@virtual
async def test_a_lone_wish_goes_at_once_and_the_next_ones_gather_until_the_budget_allows_a_write() -> None:
    writer = Writer(pace=20.0)
    begin = now()
    await writer.session(1)
    await asyncio.gather(writer.session(2, work=5), writer.session(3, work=15))
    assert writer.writes == [[1], [2, 3]]
    assert writer.begun == [begin, begin + 20]
    await writer.stop()


@virtual
async def test_one_wish_fails_alone_and_a_cancelled_caller_harms_nobody() -> None:
    writer = Writer()
    callers = [asyncio.create_task(writer.session(wish)) for wish in (1, -2, 3, 4)]
    await asyncio.sleep(0.5)
    callers[2].cancel()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert results[0] is None
    assert results[1] is OOPS
    assert isinstance(results[2], asyncio.CancelledError)
    assert results[3] is None
    assert writer.census.busy == 0
    await writer.stop()


@virtual
async def test_a_wish_cancelled_before_the_write_is_not_written() -> None:
    writer = Writer(pace=5)
    await writer.session(0)
    caller, other = asyncio.create_task(writer.session(1)), asyncio.create_task(writer.session(2))
    await asyncio.sleep(1)
    caller.cancel()
    await other
    assert writer.writes == [[0], [2]]
    await writer.stop()


@virtual
async def test_a_bug_in_a_write_reaches_its_callers_and_the_writer_lives_on() -> None:
    writer = Writer()
    writer.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await writer.session(1)
    writer.error = None
    await writer.session(2)
    assert writer.writes == [[1], [2]]
    await writer.stop()


@virtual
async def test_what_a_write_has_no_time_for_comes_first_in_the_next_one_whatever_became_of_the_others() -> None:
    writer = Writer(capacity=2)
    sessions = [asyncio.create_task(writer.session(wish)) for wish in (0, 1, 2, 3, 4)]
    await asyncio.sleep(0.5)
    late = asyncio.create_task(writer.session(9))
    writer.error = OOPS
    await asyncio.wait(sessions[:2])
    writer.error = None
    assert await asyncio.gather(*sessions, late, return_exceptions=True) == [OOPS, OOPS, None, None, None, None]
    assert writer.writes == [[0, 1, 2, 3, 4], [2, 3, 4, 9], [4, 9]]
    assert writer.census.busy == 0
    await writer.stop()


@virtual
async def test_when_the_writer_stops_nobody_waits_for_ever() -> None:
    writer = Writer(capacity=1)
    callers = [asyncio.create_task(writer.session(wish)) for wish in (1, 2)]
    await asyncio.sleep(0.1)
    callers.append(asyncio.create_task(writer.session(3)))
    await asyncio.sleep(0.1)
    await writer.stop()
    results = await asyncio.gather(*callers, return_exceptions=True)
    # In the write, postponed by it, and come during it.
    assert [type(result) for result in results] == [NotLeadingError, NotLeadingError, NotLeadingError]


@virtual
async def test_a_session_that_waits_in_several_tasks_counts_once() -> None:
    census = Census()

    async def waits() -> None:
        with census.parked():
            await asyncio.sleep(1)

    with census.running():
        both = asyncio.gather(waits(), waits())
        await asyncio.sleep(0.5)
        assert census.busy == 0
        await both
        assert census.busy == 1
    await waits()
    assert census.busy == 0


class Looker:
    def __init__(self) -> None:
        self.began: float | None = None
        self.starts: list[float] = []
        self.errors: list[Exception] = []
        self.look = SharedLook(self.once, seen=lambda: self.began, census=Census(), now=now)

    async def once(self) -> None:
        began = now()
        self.starts.append(began)
        await asyncio.sleep(2)
        if self.errors:
            raise self.errors.pop(0)
        self.began = began


@virtual
async def test_a_look_serves_all_that_came_before_it_began_and_the_next_one_the_others() -> None:
    looker = Looker()
    begin = now()
    early = [asyncio.create_task(looker.look.after(now())) for _ in range(5)]
    await asyncio.sleep(1)
    late = [asyncio.create_task(looker.look.after(now())) for _ in range(5)]
    undemanding = asyncio.create_task(looker.look.after(NEVER))
    await asyncio.gather(*early, undemanding)
    assert now() == begin + 2
    await asyncio.gather(*late)
    assert looker.starts == [begin, begin + 2]
    await looker.look.after(begin + 2)
    assert len(looker.starts) == 2


@virtual
async def test_a_failed_look_fails_those_whose_look_it_was() -> None:
    looker = Looker()
    looker.errors = [OOPS]
    first = asyncio.create_task(looker.look.after(now()))
    await asyncio.sleep(1)
    second = asyncio.create_task(looker.look.after(now()))
    assert list(await asyncio.gather(first, second, return_exceptions=True)) == [OOPS, None]


@virtual
async def test_a_caller_that_goes_leaves_the_look_to_the_others_and_the_last_one_ends_it() -> None:
    looker = Looker()
    callers = [asyncio.create_task(looker.look.after(now())) for _ in range(2)]
    await asyncio.sleep(1)
    callers[0].cancel()
    await callers[1]
    assert len(looker.starts) == 1
    alone = asyncio.create_task(looker.look.after(now()))
    await asyncio.sleep(1)
    alone.cancel()
    await asyncio.sleep(5)
    assert looker.began == looker.starts[0]
    await looker.look.after(now())
