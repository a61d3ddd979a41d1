"""The queue of sessions to look at: whatever starts it (event, retry, resync, sweep), one worker per hash.

`app` adds hashes, `reconcile` handles them and says when to look again. A hash that is added while it is handled is
handled once more afterwards. At most `PLACES` are handled at a time, each in a task of its own; one that waits for a
group write keeps its place, so a group is never larger, and the census knows who can still add to it.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Protocol

from controller import logs

_log = logging.getLogger(__name__)

# A session in work holds 14 KiB, one that waits for its place next to nothing: thousands that come at once must not
# burst the container's memory.
PLACES = 1000
# A handler that raises has a bug (errors of the world are outcomes). The session must neither be lost nor spin.
BUG_PAUSE = 60.0  # seconds

Handle = Callable[[str], Awaitable[float | None]]


class Census(Protocol):
    """Who could still add to a group write."""

    def running(self) -> AbstractContextManager[None]:
        """The caller is a session that is runnable."""
        ...


class Queue:
    """Hashes to look at; `handle` returns the seconds until the next look, or None to wait for an event."""

    def __init__(self, handle: Handle, census: Census) -> None:
        self._handle = handle
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._census = census
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._has_stopped = False
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        """How many sessions are being handled."""
        return len(self._tasks)

    def add(self, session: str) -> None:
        """Look at this session as soon as possible."""
        if self._has_stopped:
            return
        if timer := self._timers.pop(session, None):
            timer.cancel()
        if session in self._tasks:
            self._again.add(session)
        else:
            self._waiting.setdefault(session)
            self._fill()

    def add_later(self, session: str, seconds: float) -> None:
        """Look at this session in so many seconds, unless something else brings it up earlier."""
        if self._has_stopped:
            return
        if timer := self._timers.pop(session, None):
            timer.cancel()
        self._timers[session] = asyncio.get_running_loop().call_later(seconds, self.add, session)

    async def stop(self) -> None:
        """Forget every timer, cancel every worker and wait for it; nothing is handled any more, whoever adds it."""
        self._has_stopped = True
        for timer in self._timers.values():
            timer.cancel()
        self._waiting.clear()
        self._timers.clear()
        self._again.clear()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _fill(self) -> None:
        while self._waiting and len(self._tasks) < PLACES:
            session, _ = self._waiting.popitem(last=False)
            self._tasks[session] = asyncio.create_task(self._work(session), name=f"session {session}")

    async def _work(self, session: str) -> None:
        logs.session.set(session)
        pause: float | None = None
        try:
            with self._census.running():
                pause = await self._handled(session)
        finally:
            del self._tasks[session]
        if session in self._again:
            self._again.discard(session)
            self.add(session)
        elif pause is not None and session not in self._timers:
            self.add_later(session, pause)
        self._fill()

    async def _handled(self, session: str) -> float | None:
        try:
            return await self._handle(session)
        except Exception:
            _log.exception("a session's worker failed: this is a bug")
            return BUG_PAUSE
