"""Many callers, one call: the census of who can still add to a group, the group commit, the shared look.

`controller.queue` counts sessions in the census; `dns` and `tunnel` have one `Group` (their one writer) and one
`SharedLook` each. Nothing here knows what is written or looked at.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Never, TypeVar

from fsm.errors import NotLeadingError, SessionError

LINGER = 2.0  # seconds: nobody waits longer for somebody who is slow; a group that still grows goes on
LONGEST = 10.0  # seconds: no wish waits longer for others, unless the budget is short

W = TypeVar("W")


@dataclass(eq=False)
class _Session:
    """One runnable session; `waits` counts its tasks (it may have several) that wait for a group or a look."""

    waits: int = 0


_running: ContextVar[_Session | None] = ContextVar("_running", default=None)


class Census:
    """Counts the sessions that are runnable: handled now, and not waiting for a group or a look themselves."""

    def __init__(self) -> None:
        self.busy = 0
        self._changed = asyncio.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """The caller is a session that is being handled."""
        token = _running.set(_Session())
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)
            _running.reset(token)

    @contextmanager
    def parked(self) -> Iterator[None]:
        """The caller waits for a group or a look: it can't add to any. No effect for callers that are no session."""
        session = _running.get()
        if session is None:
            yield
            return
        session.waits += 1
        self._count(-1 if session.waits == 1 else 0)
        try:
            yield
        finally:
            session.waits -= 1
            self._count(1 if session.waits == 0 else 0)

    async def quiet(self) -> None:
        """Return once no session is runnable."""
        while True:
            # Whoever was woken in this very round of the loop comes first: it may be about to add.
            await asyncio.sleep(0)
            if self.busy == 0:
                return
            self._changed.clear()
            await self._changed.wait()

    def _count(self, change: int) -> None:
        self.busy += change
        if self.busy == 0:
            self._changed.set()


class PostponedError(SessionError):
    """The write had no time for this wish: the group's next one has it, and its caller waits on."""

    def __init__(self) -> None:
        super().__init__("Postponed", "the next write carries it out")


@dataclass(eq=False)
class Ticket(Generic[W]):
    """One caller's wish in a write; the writer sets `error` when it fails or is postponed, nothing when all is well."""

    wish: W
    joined: float  # monotonic seconds
    error: SessionError | None = None
    done: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def settle(self) -> None:
        """Tell the caller, if it still waits."""
        if self.done.done():
            return
        if self.error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(self.error)


class Group(Generic[W]):
    """One writer for many wishes: one write at a time, each for everybody who has wished by then.

    A write goes out when no runnable session can still add to it, at most `LINGER` seconds after its latest wish and
    `LONGEST` after its first, and not within `pace()` seconds of the write before: a lone wish goes at once. `write`
    sets the tickets' errors; what it raises is everybody's who has none. A `PostponedError` is for the writer alone,
    which has to settle at least one of a write: the wish is the first in the next one.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Ticket[W]]], Awaitable[None]],
        *,
        census: Census,
        now: Callable[[], float],
        pace: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._write = write
        self._census = census
        self._now = now
        self._pace = pace
        self._began = -math.inf  # the write before
        self._waiting: list[Ticket[W]] = []
        self._wished = asyncio.Event()

    async def join(self, wish: W) -> None:
        """Return once a write has fulfilled `wish`. Cancelling this caller takes nothing from the others.

        Raises:
            SessionError: what became of this wish.
        """
        ticket = Ticket(wish, self._now())
        self._waiting.append(ticket)
        self._wished.set()
        with self._census.parked():
            await ticket.done

    async def run(self) -> Never:
        """The writer; never returns. When it is cancelled, those who wait get a NotLeadingError."""
        batch: list[Ticket[W]] = []
        try:
            while True:
                await self._wished.wait()
                await self._gather()
                self._wished.clear()
                batch = [ticket for ticket in self._waiting if not ticket.done.done()]
                self._waiting = []
                await self._carry_out(batch)
        finally:
            self._settle([*self._put_back(batch), *self._waiting], NotLeadingError())

    async def _gather(self) -> None:
        if (pause := self._began + self._pace() - self._now()) > 0:
            await asyncio.sleep(pause)
        while (patience := self._patience()) > 0:
            try:
                async with asyncio.timeout(patience):
                    await self._census.quiet()
                    break
            except TimeoutError:
                pass  # the others have waited long enough, unless one has come meanwhile
        self._began = self._now()

    def _patience(self) -> float:
        """Seconds until those who have wished have waited long enough for somebody who is busy with something slow."""
        first, latest = self._waiting[0].joined, self._waiting[-1].joined
        return min(latest + LINGER, first + LONGEST) - self._now()

    async def _carry_out(self, batch: Sequence[Ticket[W]]) -> None:
        try:
            if batch:
                await self._write(batch)
        except SessionError as error:
            self._settle(self._put_back(batch), error)
        except Exception as bug:
            # The writer serves everybody and must not die of one wish; whoever waits reports the bug.
            for ticket in batch:
                if not ticket.done.done():
                    ticket.done.set_exception(bug)
        else:
            self._settle(self._put_back(batch), None)

    def _put_back(self, batch: Sequence[Ticket[W]]) -> list[Ticket[W]]:
        """Have those of `batch` that are postponed wait in front of everybody else; returns the others."""
        others = [ticket for ticket in batch if not isinstance(ticket.error, PostponedError)]
        postponed = [ticket for ticket in batch if isinstance(ticket.error, PostponedError)]
        for ticket in postponed:
            ticket.error = None
        if postponed:
            self._waiting[:0] = postponed
            self._wished.set()
        return others

    def _settle(self, batch: Sequence[Ticket[W]], error: SessionError | None) -> None:
        for ticket in batch:
            ticket.error = ticket.error or error
            ticket.settle()


@dataclass(eq=False)
class _Flight:
    """A look under way."""

    began: float
    landed: asyncio.Event = field(default_factory=asyncio.Event)
    error: BaseException | None = None
    waiters: int = 0
    task: "asyncio.Task[None] | None" = None


class SharedLook:
    """Looks for many: who asks while one is under way that began late enough joins it, else the next one.

    `seen` tells when the look in the cache began, None when there is none; `look` fills the cache or raises.
    """

    def __init__(
        self,
        look: Callable[[], Coroutine[Any, Any, None]],
        *,
        seen: Callable[[], float | None],
        census: Census,
        now: Callable[[], float],
    ) -> None:
        self._look = look
        self._seen = seen
        self._census = census
        self._now = now
        self._flight: _Flight | None = None

    async def after(self, since: float) -> None:
        """Return once a look that began at or after `since` is in the cache.

        Raises:
            SessionError: the look that would have been it failed.
        """
        while (seen := self._seen()) is None or seen < since:
            flight = self._flight or self._start()
            await self._wait(flight)
            # The failure of a look that began too early for this caller says nothing: the next one is its own.
            if flight.error is not None and flight.began >= since:
                raise flight.error.with_traceback(None)

    async def _wait(self, flight: _Flight) -> None:
        flight.waiters += 1
        try:
            with self._census.parked():
                await flight.landed.wait()
        finally:
            flight.waiters -= 1
            if flight.waiters == 0 and flight.task is not None:
                flight.task.cancel()  # nobody wants to know any more; no effect on one that has landed

    def _start(self) -> _Flight:
        flight = self._flight = _Flight(self._now())
        flight.task = asyncio.create_task(self._look(), name="look")
        # A callback, not the end of the task's own code: cancelled before its first step, it would run none of it.
        flight.task.add_done_callback(partial(self._land, flight))
        return flight

    def _land(self, flight: _Flight, task: "asyncio.Task[None]") -> None:
        self._flight = None
        flight.error = None if task.cancelled() else task.exception()
        flight.landed.set()
