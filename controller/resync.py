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
from fsm.errors import SessionError
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
        caches_complete: Callable[[], bool],
        now: Callable[[], float],
        interval: float,
    ) -> None:
        self._world = world
        self._sweep = sweep
        self._problems = problems
        self._look_over = look_over
        self._caches_complete = caches_complete
        self._now = now
        self._interval = interval

    async def run(self) -> None:
        """Look again and again; never returns."""
        while True:
            try:
                looked = await self.once() is not None
            except Exception as bug:
                # It would end the leader's work, and with it the process, at each look anew.
                _log.exception("a look failed in an unknown way: this is a bug")
                self._problems.tell(TOPIC, f"InternalError: {type(bug).__name__}, see the operator's log")
                looked = False
            await asyncio.sleep(self._interval if looked else min(self._interval, FAILED_PAUSE))

    async def once(self, *, force: bool = False) -> SweepPlan | None:
        """One round; what the sweep made of it, or None when a look failed or the caches are not complete."""
        try:
            await self.look()
        except SessionError as error:
            self._problems.tell(TOPIC, str(error))
            return None
        self._problems.clear(TOPIC)
        with suppress(SessionError):  # the watch tells what is in the way, and there is a next time
            await self._world.routes.settle()
        self._look_over()
        return self._sweep.after_look(force=force) if await self._listed() else None

    async def _listed(self) -> bool:
        """Whether the caches are complete: after a start they soon are, which saves a second look."""
        try:
            async with asyncio.timeout(FAILED_PAUSE):
                while not self._caches_complete():
                    await asyncio.sleep(LISTING)
        except TimeoutError:
            return False
        return True

    async def look(self) -> None:
        """Look at the zone and the tunnel, both anew."""
        since = self._now()
        looks = (self._world.dns.look(since), self._world.tunnel.look(since))
        for result in await asyncio.gather(*looks, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
