"""Many questions, one reading in portions, never one that began too early; each gets what was told in its time."""

import asyncio
import gc
import weakref
from collections.abc import Collection

import pytest

from controller.living import SharedLiving
from fsm.errors import TransientError
from tests.k8s.virtual import now, virtual

NO = TransientError("KubernetesUnavailable", "no answer")


class Reader:
    """Each read takes a second, and tells what was so at its beginning."""

    def __init__(self, *living: str, portion: int = 9) -> None:
        self.reads: list[list[str]] = []
        self.living = set(living)
        self.error: Exception | None = None
        self.refuted: list[tuple[str, float]] = []
        self.ask = SharedLiving(self, lambda *told: self.refuted.append(told), now, portion=portion)

    async def __call__(self, sessions: Collection[str]) -> set[str]:
        self.reads.append(list(sessions))
        snapshot = set(self.living)
        await asyncio.sleep(1)
        if self.error:
            raise self.error
        return snapshot & set(sessions)


@virtual
async def test_questions_of_one_moment_share_a_read() -> None:
    reader, begin = Reader("b"), now()
    answers = await asyncio.gather(*(reader.ask([session], 2.0) for session in "cab"))
    assert reader.reads == [["c", "a", "b"]]
    assert answers == [{"c": False}, {"a": False}, {"b": True}]
    assert reader.refuted == [("b", begin)]


@virtual
async def test_a_question_during_a_read_waits_for_the_next_one() -> None:
    reader = Reader()
    early = asyncio.create_task(reader.ask(["a"], 2.0))
    await asyncio.sleep(0.1)
    reader.living = {"a"}
    late = asyncio.create_task(reader.ask(["a"], 2.0))
    assert await early == {"a": False}
    assert await late == {"a": True}
    assert len(reader.reads) == 2


@virtual
async def test_what_is_told_in_time_is_the_answer_and_nobody_reads_on() -> None:
    reader, begin = Reader("d", portion=2), now()
    assert await reader.ask("abcdefgh", 2.5) == {"a": False, "b": False, "c": False, "d": True}
    assert now() == begin + 2.5
    assert reader.refuted == [("d", begin + 1)], "each read has its own beginning"
    await asyncio.sleep(9)
    assert reader.reads == [["a", "b"], ["c", "d"], ["e", "f"]]
    assert await reader.ask("e", 1.5) == {"e": False}


@virtual
async def test_a_question_whose_time_is_over_ends_no_read_that_another_one_waits_for() -> None:
    reader = Reader(portion=1)
    short, long = await asyncio.gather(reader.ask("abc", 1.5), reader.ask("c", 3.5))
    assert (short, long) == ({"a": False}, {"c": False})


@virtual
async def test_when_not_one_is_told_in_time_it_fails_with_an_error_of_its_own() -> None:
    reader = Reader()
    errors = await asyncio.gather(reader.ask("a", 0.5), reader.ask("b", 0.5), return_exceptions=True)
    text = "KubernetesUnavailable: the API server took too long to tell which sessions live"
    assert [str(error) for error in errors] == [text, text]
    assert errors[0] is not errors[1], "one that is kept grows with every raise"
    assert await reader.ask("a", 1.5) == {"a": False}


@virtual
async def test_nothing_is_asked_of_nobody() -> None:
    reader = Reader()
    assert await reader.ask((), 1.0) == {}
    assert reader.reads == []


@virtual
async def test_a_read_that_fails_is_the_failure_of_those_who_are_told_of_nobody_and_the_next_one_is_new() -> None:
    reader = Reader(portion=1)
    asking = [asyncio.create_task(reader.ask(sessions, 9.0)) for sessions in ("a", "bc", "cd")]
    await asyncio.sleep(2.5)
    reader.error = NO
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert list(results) == [{"a": False}, {"b": False}, NO]
    reader.error = None
    assert await reader.ask("c", 2.0) == {"c": False}


@virtual
async def test_nobody_waits_for_the_answers_to_what_others_have_asked() -> None:
    reader, begin = Reader(portion=2), now()
    ended = dict[str, float]()

    async def ask(sessions: str) -> None:
        await reader.ask(sessions, 9.0)
        ended[sessions] = now() - begin

    await asyncio.gather(ask("a"), ask("bcd"), ask("d"))
    assert ended == {"a": 1.0, "bcd": 2.0, "d": 2.0}


@virtual
async def test_a_caller_that_is_cancelled_takes_nobody_with_it() -> None:
    reader = Reader("b")
    first, second = asyncio.create_task(reader.ask("a", 2.0)), asyncio.create_task(reader.ask("b", 2.0))
    await asyncio.sleep(0.1)
    first.cancel()
    assert await second == {"b": True}
    with pytest.raises(asyncio.CancelledError):
        await first


@virtual
@pytest.mark.parametrize("pause", [0.0, 0.1])
async def test_nobody_joins_a_read_that_the_last_one_who_waited_for_it_has_left(pause: float) -> None:
    reader = Reader()
    running = asyncio.create_task(reader.ask("a", 2.0))
    await asyncio.sleep(0.1)
    waiting = asyncio.create_task(reader.ask("b", 2.0))
    await asyncio.sleep(0.1)
    waiting.cancel()
    await asyncio.sleep(pause)
    assert await reader.ask("c", 2.0) == {"c": False}
    assert await running == {"a": False}
    assert reader.reads == [["a"], ["c"]]


@virtual
async def test_a_read_that_fails_when_nobody_waits_for_it_any_more_is_no_complaint() -> None:
    complaints = list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def read(sessions: Collection[str]) -> set[str]:
        try:
            await asyncio.sleep(9)
        finally:
            raise NO

    ask = SharedLiving(read, lambda *_: None, now, portion=1)
    asking = asyncio.create_task(ask("a", 1.0))
    await asyncio.wait([asking])
    assert "took too long" in str(asking.exception())
    await asyncio.sleep(1)
    del asking, ask
    gc.collect()
    assert complaints == []


@virtual
async def test_readings_that_fail_do_not_keep_those_before_them() -> None:
    async def read(sessions: Collection[str]) -> set[str]:
        await asyncio.sleep(1)
        raise TransientError("KubernetesUnavailable", "no answer")

    ask, readings = SharedLiving(read, lambda *_: None, now, portion=1), list[weakref.ref[object]]()
    for _ in range(3):
        asking = asyncio.create_task(ask("a", 2.0))
        await asyncio.sleep(0.5)
        assert ask._current
        readings.append(weakref.ref(ask._current))
        await asyncio.wait([asking])
        assert asking.exception()
    del asking
    gc.collect()
    assert [reading() is None for reading in readings] == [True, True, False]
