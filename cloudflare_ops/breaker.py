"""One breaker for trouble that is everybody's: while it is open, calls fail at once with the same error.

`client` has one for the account and `dns` one for the record quota. Open, it lets one caller through at a time once its
pause is over, with a longer pause after each failure: one probe, not a retry per session. `on_recovered` wakes those
who wait; it is called when the trouble is over, and each time somebody has to try because nothing else can tell.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from cloudflare_ops.budget import sleep_out
from fsm.errors import SessionError, SharedError

FIRST_PAUSE = 5.0  # seconds
LONGEST_PAUSE = 300.0  # seconds, the pace of failures that need a person
Probe = Callable[[], Awaitable[object]]


class Breaker:
    """Closed until `trip`; `kind` names the sort of request that failed, and only its success closes it again.

    `is_felt` tells whether the problem is still in anybody's way: what no probe can tell is over for those who read of
    it when nobody comes to try again.
    """

    def __init__(self, now: Callable[[], float], on_recovered: Callable[[], None]) -> None:
        self._now = now
        self._on_recovered = on_recovered
        self.problem: SharedError | None = None
        self._kind = ""
        self._probe: Probe | None = None
        self._pause = FIRST_PAUSE
        self._until = 0.0
        self.is_felt = False
        self._opened = asyncio.Event()
        self._turn = asyncio.Lock()

    def check(self) -> None:
        """Raise the problem while its pause lasts."""
        if self.problem is not None and self._now() < self._until:
            # Without the old traceback, which would grow with every raise.
            raise self.problem.with_traceback(None)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Everybody passes at once while it is closed, one at a time after a pause, nobody during it."""
        if self.problem is None:
            yield
            return
        async with self._turn:
            self.check()
            yield

    def trip(self, kind: str, error: SharedError, probe: Probe | None = None) -> None:
        """Open it, or keep it open for longer; `probe` is a harmless call that can tell when it is over."""
        if self.problem is None:
            self._pause = FIRST_PAUSE
        elif self._now() >= self._until:
            # Not for calls that were under way together with the one that opened it.
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self.problem, self._kind, self._probe = error, kind, probe
        self._until = self._now() + self._pause
        self.is_felt = True
        self._opened.set()

    def passed(self, kind: str) -> None:
        """A request of this kind succeeded."""
        if self.problem is not None and kind == self._kind:
            self.problem = None
            self._opened.clear()
            self._on_recovered()

    def hasten(self) -> None:
        """Something changed for the better: whoever waits may try now."""
        if self.problem is not None:
            self._until = self._now()
            self._on_recovered()

    async def run(self) -> None:
        """Probe whenever a pause is over; never returns."""
        while True:
            await self._opened.wait()
            await sleep_out(lambda: self._until - self._now())
            await self._try()
            # A try that was inconclusive, or that nobody took up, must not spin.
            if self.problem is not None and self._until <= self._now():
                await asyncio.sleep(self._pause)
                is_untried = self._probe is None and self._until < self._now() and not self._turn.locked()
                self.is_felt = self.is_felt and not is_untried

    async def _try(self) -> None:
        if self.problem is None:
            return
        if self._probe is None:
            self._on_recovered()
            return
        try:
            await self._probe()
        except SessionError:
            return  # `trip` has been called for what matters
