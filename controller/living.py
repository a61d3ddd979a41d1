"""The proof before a removal: which sessions have a live Pod, asked of the API server in portions.

Each of the three removers has one of its own and calls it with the hashes whose removal it is about to compose. What
was read before a question proves nothing, so who asks during a reading shares the next one. A proof is wanted within a
second or two, and thousands may end at once, so each gets what could be told in its time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Set

from fsm.errors import TransientError

Read = Callable[[Collection[str]], Awaitable[Set[str]]]
Refute = Callable[[str, float], None]


def too_slow() -> TransientError:
    """A new one each time: one that is kept would grow with every raise."""
    return TransientError("KubernetesUnavailable", "the API server took too long to tell which sessions live")


class _Reading:
    """Portions that are read one after the other: `told` grows as they come, in the order in which they were asked."""

    def __init__(self, after: "_Reading | None", work: Callable[["_Reading"], Awaitable[None]]) -> None:
        self.asked: dict[str, None] = {}
        self.told: dict[str, bool] = {}
        self.waiters = 0
        self.task = asyncio.create_task(self._run(after, work), name="live read")
        # Asked for here, because everybody who waits for it may have given up by then.
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _run(self, after: "_Reading | None", work: Callable[["_Reading"], Awaitable[None]]) -> None:
        if after is not None:
            await asyncio.wait([after.task])
        await work(self)

    async def wait(self, within: float) -> None:
        """Return when everything is told, or `within` seconds have passed; what nobody waits for is read no further."""
        self.waiters += 1
        try:
            async with asyncio.timeout(within):
                await asyncio.shield(self.task)
        except TimeoutError:
            pass  # what is told by now is told
        finally:
            self.waiters -= 1
            if self.waiters == 0:
                self.task.cancel()


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
            SessionError: a read failed, or not one was told in time; nothing may be removed.
        """
        if self._next is None or self._next.task.cancelling():
            self._next = _Reading(self._current, self._answer)
        reading = self._next
        reading.asked.update(dict.fromkeys(sessions))
        await reading.wait(within)
        told = {session: reading.told[session] for session in sessions if session in reading.told}
        if sessions and not told:
            raise too_slow()
        return told

    async def _answer(self, reading: _Reading) -> None:
        self._current, self._next = reading, None
        asked = list(reading.asked)
        for start in range(0, len(asked), self._portion):
            portion, began = asked[start : start + self._portion], self._now()
            alive = await self._read(portion)
            for session in alive:
                self._refute(session, began)
            reading.told.update({session: session in alive for session in portion})
