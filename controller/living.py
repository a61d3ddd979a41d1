"""The proof before a removal, shared: many callers ask, one live list answers them all.

The three removers call it with the hashes whose removal they are about to compose. A list that had begun before the
question proves nothing, so callers join the next one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Set

Read = Callable[[Collection[str]], Awaitable[Set[str]]]
Refute = Callable[[str, float], None]


class SharedLiving:
    """`read(sessions)` answers which of them have a live Pod, from the API server itself.

    `refute(session, began)` is told of each that has one, by a list that was sent at `began`.
    """

    def __init__(self, read: Read, refute: Refute, now: Callable[[], float]) -> None:
        self._read = read
        self._refute = refute
        self._now = now
        self._asked: set[str] = set()
        self._current: asyncio.Task[Set[str]] | None = None
        self._next: asyncio.Task[Set[str]] | None = None

    async def __call__(self, sessions: Collection[str]) -> Set[str]:
        """Those of `sessions` that have a live Pod, by a list that began after this call.

        Raises:
            SessionError: the list failed; nothing may be removed.
        """
        self._asked.update(sessions)
        if self._next is None:
            self._next = asyncio.create_task(self._read_after(self._current), name="live read")
            # Asked for here, because everybody who waits for it may have given up by then.
            self._next.add_done_callback(lambda task: task.cancelled() or task.exception())
        return set(sessions) & await asyncio.shield(self._next)

    async def _read_after(self, before: asyncio.Task[Set[str]] | None) -> Set[str]:
        if before is not None:
            await asyncio.wait([before])
        asked, self._asked = self._asked, set()
        self._current, self._next = self._next, None
        began = self._now()
        alive = await self._read(asked)
        for session in alive:
            self._refute(session, began)
        return alive
