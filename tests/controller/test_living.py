"""Many questions, one live list, never one that began too early."""

import asyncio
import gc
from collections.abc import Collection

import pytest

from controller.living import SharedLiving
from fsm.errors import TransientError


class Reader:
    def __init__(self) -> None:
        self.reads: list[list[str]] = []
        self.gate = asyncio.Event()
        self.living: set[str] = set()
        self.error: Exception | None = None
        self.refuted: list[tuple[str, float]] = []

    def refute(self, session: str, began: float) -> None:
        self.refuted.append((session, began))

    async def __call__(self, sessions: Collection[str]) -> set[str]:
        self.reads.append(sorted(sessions))
        snapshot = set(self.living)
        await self.gate.wait()
        if self.error:
            raise self.error
        return snapshot & set(sessions)


async def test_questions_of_one_moment_share_a_list() -> None:
    reader = Reader()
    reader.gate.set()
    reader.living = {"b"}
    living = SharedLiving(reader, reader.refute, lambda: 7.0)
    answers = await asyncio.gather(*(living([session]) for session in "abc"))
    assert reader.reads == [["a", "b", "c"]]
    assert answers == [set(), {"b"}, set()]
    assert reader.refuted == [("b", 7.0)]


async def test_a_question_during_a_list_waits_for_the_next_one() -> None:
    reader = Reader()
    living = SharedLiving(reader, reader.refute, lambda: 7.0)
    early = asyncio.create_task(living(["a"]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reader.living = {"a"}
    late = asyncio.create_task(living(["a"]))
    await asyncio.sleep(0)
    reader.gate.set()
    assert await early == set()
    assert await late == {"a"}
    assert len(reader.reads) == 2


async def test_a_failed_list_is_everybodys_failure_and_the_next_one_is_new() -> None:
    reader = Reader()
    reader.gate.set()
    reader.error = TransientError("KubernetesUnavailable", "no answer")
    living = SharedLiving(reader, reader.refute, lambda: 7.0)
    with pytest.raises(TransientError):
        await living(["a"])
    reader.error = None
    assert await living(["a"]) == set()


async def test_a_caller_that_is_cancelled_takes_nobody_with_it() -> None:
    reader = Reader()
    reader.living = {"b"}
    living = SharedLiving(reader, reader.refute, lambda: 7.0)
    first, second = asyncio.create_task(living(["a"])), asyncio.create_task(living(["b"]))
    await asyncio.sleep(0)
    first.cancel()
    reader.gate.set()
    assert await second == {"b"}
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_list_that_fails_when_nobody_waits_for_it_any_more_is_no_complaint() -> None:
    complaints = list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    reader = Reader()
    reader.error = TransientError("KubernetesUnavailable", "no answer")
    living = SharedLiving(reader, reader.refute, lambda: 7.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await living(["a"])
    reader.gate.set()
    while living._current is None or not living._current.done():
        await asyncio.sleep(0)
    living._current = None
    gc.collect()
    assert complaints == []
