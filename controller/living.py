"""The proof before a removal: which sessions have a live Pod, asked of the API server in portions.

Each of the three removers has one of its own and calls it with the hashes whose removal it is about to compose. What
was read before a question proves nothing, so who asks during a reading shares the next one. A proof is wanted within a
second or two, and thousands may end at once, so each gets what could be told in its time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Set
from contextlib import suppress
from functools import partial
from typing import Any

from fsm.errors import TransientError

Read = Callable[[Collection[str]], Awaitable[Set[str]]]
Refute = Callable[[str, float], None]


def too_slow() -> TransientError:
    """A new one each time: one that is kept would grow with every raise."""
    return TransientError("KubernetesUnavailable", "the API server took too long to tell which sessions live")


class _Reading:
    """Portions of `asked`, read one after the other by `work`; whoever waits sees `told` grow."""

    def __init__(self, work: Callable[["_Reading"], Coroutine[Any, Any, None]]) -> None:
        self.asked: dict[str, None] = {}
        self.told: dict[str, bool] = {}
        self.error: BaseException | None = None
        self._waiters = 0
        self._news = asyncio.Event()
        self.task = asyncio.create_task(work(self), name="live read")
        self.task.add_done_callback(self._end)

    def tell(self, told: Mapping[str, bool]) -> None:
        self.told.update(told)
        self._news.set()
        self._news = asyncio.Event()

    async def wait(self, sessions: Collection[str], within: float) -> None:
        """Return when these are told, or `within` seconds are over; what nobody waits for is read no further."""
        wanted = set(sessions)
        self._waiters += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    while not (self.task.done() or self.told.keys() >= wanted):
                        await self._news.wait()
        finally:
            self._waiters -= 1
            if self._waiters == 0:
                self.task.cancel()

    def _end(self, task: asyncio.Task[None]) -> None:
        self.error = None if task.cancelled() else task.exception()
        self._news.set()


class SharedLiving:
    """`controller.ports.Living`: many callers, one reader at a time; `read` takes up to `portion` sessions.

    `refute(session, began)` is told of each that has a live Pod, by a read that was sent at `began`.
    """

    def __init__(self, read: Read, refute: Refute, now: Callable[[], float], *, portion: int) -> None:
        self._read = read
        self._refute = refute
        self._now = now
        self._portion = portion
        self._current: _Reading | None = None
        self._next: _Reading | None = None

    async def __call__(self, sessions: Collection[str], within: float) -> Mapping[str, bool]:
        """Whether they have a live Pod, by reads that began after this call; of as many as are told `within` seconds.

        Raises:
            SessionError: not one was told in time, or before a read failed; nothing may be removed.
        """
        if self._next is None or self._next.task.cancelling():
            self._next = _Reading(partial(self._answer, self._current))
        reading = self._next
        reading.asked.update(dict.fromkeys(sessions))
        await reading.wait(sessions, within)
        told = {session: reading.told[session] for session in sessions if session in reading.told}
        if sessions and not told:
            raise reading.error.with_traceback(None) if reading.error else too_slow()
        return told

    async def _answer(self, before: _Reading | None, reading: _Reading) -> None:
        if before is not None:
            await asyncio.wait([before.task])
            before = None  # or each that fails would keep all those before it, by way of its error's stack
        self._current, self._next = reading, None
        asked = list(reading.asked)
        for start in range(0, len(asked), self._portion):
            portion, began = asked[start : start + self._portion], self._now()
            alive = await self._read(portion)
            for session in alive:
                self._refute(session, began)
            reading.tell({session: session in alive for session in portion})
