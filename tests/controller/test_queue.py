"""One worker per hash, nothing lost, nobody held up by somebody else."""

import asyncio
from collections import Counter

from controller.queue import BUG_PAUSE, PLACES, Queue
from tests.controller.world import NoCensus


async def idle(queue: Queue) -> None:
    """Return once no session is being handled."""
    while queue._tasks:
        await asyncio.wait(list(queue._tasks.values()))


async def test_a_hash_added_while_it_is_handled_is_handled_once_more_and_never_twice_at_a_time() -> None:
    running, most, handled = 0, 0, 0
    gate = asyncio.Event()

    async def handle(session: str) -> None:
        nonlocal running, most, handled
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1
        handled += 1

    queue = Queue(handle, NoCensus())
    for _ in range(5):
        queue.add("a")
        await asyncio.sleep(0)
    gate.set()
    await idle(queue)
    assert (most, handled) == (1, 2)


async def test_a_session_that_hangs_holds_up_no_other() -> None:
    seen: list[str] = []
    stuck, others_done = asyncio.Event(), asyncio.Event()

    async def handle(session: str) -> None:
        if session == "bad":
            await stuck.wait()
        seen.append(session)
        if len(seen) == 100:
            others_done.set()

    queue = Queue(handle, NoCensus())
    for session in ("bad", *(str(number) for number in range(100))):
        queue.add(session)
    await asyncio.wait_for(others_done.wait(), 5)
    assert "bad" not in seen
    stuck.set()
    await idle(queue)


async def test_what_is_more_than_there_are_places_waits_in_line_and_nothing_is_lost() -> None:
    begun: list[str] = []
    gate = asyncio.Event()

    async def handle(session: str) -> None:
        begun.append(session)
        await gate.wait()

    queue = Queue(handle, NoCensus())
    sessions = [str(number) for number in range(2 * PLACES + 1)]
    for session in (*sessions, *sessions):
        queue.add(session)
    await asyncio.sleep(0)
    assert begun == sessions[:PLACES]
    gate.set()
    await idle(queue)
    # Those that were handled meanwhile come once more, after the ones that waited.
    assert begun == [*sessions, *sessions[:PLACES]]


async def test_who_waits_for_a_place_when_the_queue_stops_is_not_begun() -> None:
    begun: list[str] = []

    async def handle(session: str) -> None:
        begun.append(session)
        await asyncio.Event().wait()

    queue = Queue(handle, NoCensus())
    for number in range(PLACES + 1):
        queue.add(str(number))
    await asyncio.sleep(0)
    await queue.stop()
    assert len(begun) == PLACES


async def test_the_handler_says_when_to_look_again_and_an_event_comes_first() -> None:
    times: Counter[str] = Counter()

    async def handle(session: str) -> float | None:
        times[session] += 1
        return 3600.0

    queue = Queue(handle, NoCensus())
    queue.add("a")
    await idle(queue)
    queue.add("a")
    await idle(queue)
    assert times["a"] == 2
    await queue.stop()


async def test_a_pause_of_nothing_looks_again_at_once() -> None:
    pauses = iter([0.0, None])
    again = asyncio.Event()

    async def handle(session: str) -> float | None:
        pause = next(pauses)
        if pause is None:
            again.set()
        return pause

    queue = Queue(handle, NoCensus())
    queue.add("a")
    await asyncio.wait_for(again.wait(), 5)
    await queue.stop()


async def test_a_handler_with_a_bug_is_tried_again_later() -> None:
    async def handle(session: str) -> float | None:
        raise RuntimeError("bug")

    queue = Queue(handle, NoCensus())
    later: list[float] = []
    queue.add_later = lambda session, seconds: later.append(seconds)  # type: ignore[method-assign]  # only listens
    queue.add("a")
    await idle(queue)
    assert later == [BUG_PAUSE]


async def test_stop_cancels_every_worker_and_forgets_every_timer() -> None:
    cancelled = 0

    async def handle(session: str) -> float | None:
        nonlocal cancelled
        if session == "later":
            return 0.01
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise
        return None

    queue = Queue(handle, NoCensus())
    for session in ("a", "b", "later"):
        queue.add(session)
    await asyncio.sleep(0)
    await queue.stop()
    assert cancelled == 2
    assert len(queue) == 0
