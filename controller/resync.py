"""The leader's regular look at Cloudflare: finds drift and orphans, then all sessions are looked over.

`app` runs it while this replica leads. Two calls a round, however many sessions there are. The sweep only gets to see
complete looks: an error in either half, or a watch that has not listed everything yet, means no sweep in this round.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from controller.problems import Problems
from controller.reconcile import World
from controller.sweep import Sweep
from fsm.errors import SessionError, TransientError
from fsm.orphans import SweepPlan

_log = logging.getLogger(__name__)

TOPIC = "cloudflare"
FAILED_PAUSE = 10.0  # seconds until the next try when a look failed, and for the watches to have listed everything
LISTING = 0.1  # seconds between two questions whether they have


class Resync:
    """One look after another."""

    def __init__(
        self,
        *,
        world: World,
        sweep: Sweep,
        problems: Problems,
        look_over: Callable[[], None],
        caches_incomplete: Callable[[], SessionError | None],
        now: Callable[[], float],
        interval: float,
    ) -> None:
        self._world = world
        self._sweep = sweep
        self._problems = problems
        self._look_over = look_over
        self._caches_incomplete = caches_incomplete
        self._now = now
        self._interval = interval

    async def run(self) -> None:
        """Look again and again; never returns."""
        while True:
            pause = min(self._interval, FAILED_PAUSE)
            with suppress(SessionError):  # told
                await self.once()
                pause = self._interval
            await asyncio.sleep(pause)

    async def once(self, *, force: Callable[[], bool] = lambda: False) -> SweepPlan:
        """One round; what the sweep made of it. `force()` is asked when everything was looked at.

        Raises:
            SessionError: a look failed, or a cache is not complete: no sweep.
        """
        try:
            return await self._round(force)
        except SessionError:
            raise
        except Exception as bug:
            # It would end the leader's work, and with it the process, at each look anew.
            _log.exception("a look failed in an unknown way: this is a bug")
            error = TransientError("InternalError", type(bug).__name__, "see the operator's log")
            self._problems.tell(TOPIC, str(error))
            raise error from bug

    async def _round(self, force: Callable[[], bool]) -> SweepPlan:
        try:
            await self.look()
        except SessionError as error:
            self._problems.tell(TOPIC, str(error))
            raise
        self._problems.clear(TOPIC)
        with suppress(SessionError):  # the watch tells what is in the way, and there is a next time
            await self._world.routes.settle()
        self._look_over()
        await self._listed()
        return self._sweep.after_look(force=force())

    async def _listed(self) -> None:
        """Return once the caches are complete: after a start they soon are, which saves a second look."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FAILED_PAUSE):
                while self._caches_incomplete():
                    await asyncio.sleep(LISTING)
        if problem := self._caches_incomplete():
            raise problem.with_traceback(None)

    async def look(self) -> None:
        """Look at the zone and the tunnel, both anew."""
        since = self._now()
        looks = (self._world.dns.look(since), self._world.tunnel.look(since))
        for result in await asyncio.gather(*looks, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
