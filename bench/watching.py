"""When each session became Ready, and when everything has come to rest: what `rows` waits for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Never

from bench import process
from bench.ground import Ground
from controller.background import background
from fsm.session import HASH_LABEL
from sandbox.kubeclient import ours

LOOK = 0.005  # seconds
WORK = 0.1  # seconds of CPU: more than a program takes at rest; one that is held may work on for long before it asks
WITHIN = 900.0  # seconds until a row is given up that waits for one thing

Clock = Callable[[], float]


class Diary:
    """Follows the watch of the session Pods from before anything happens."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._clock: Clock = asyncio.get_running_loop().time
        self._changed = 0
        self.created: dict[str, float] = {}
        self.ready: dict[str, float] = {}

    async def write(self) -> Never:
        """Follow for ever: the API server ends the watch of who reads slowly; a new one begins with all there is."""
        while True:
            async for pod in self._ground.kube.watch():
                session, now = pod["metadata"]["labels"][HASH_LABEL], self._clock()
                self._changed += 1
                self.created.setdefault(session, now)
                if ours(pod).get("state") == "Ready":
                    self.ready.setdefault(session, now)

    async def until_ready(self, sessions: Iterable[str]) -> None:
        """Return once each of these has been seen Ready."""
        wanted = set(sessions)
        await until(lambda: wanted <= self.ready.keys())

    async def until_quiet(self) -> None:
        """Return once nothing was asked, no Pod changed and no program worked for so long that it is rest."""
        before, since = self._state(), self._clock()
        while self._clock() - since < self._ground.depth.quiet:
            await asyncio.sleep(0.1)
            if self._state() != before:
                before, since = self._state(), self._clock()

    def waited(self, sessions: Iterable[str], since: float | None = None) -> list[float]:
        """Seconds to Ready, shortest first: since then, or since each one was created."""
        return sorted(self.ready[one] - (self.created[one] if since is None else since) for one in sessions)

    def _state(self) -> tuple[int, int, int]:
        worked = sum(map(process.run_time, self._ground.stage.operators))
        return self._ground.cloudflare.total, self._changed, int(worked / WORK)


@asynccontextmanager
async def diary(ground: Ground) -> AsyncIterator[Diary]:
    """A diary that is written while the block lasts."""
    book = Diary(ground)
    async with background(book.write):
        yield book


async def until(look: Callable[[], object], every: float = LOOK) -> None:
    """Return once `look`, which is asked every so many seconds, finds something.

    Raises:
        TimeoutError: the row takes for ever.
    """
    async with asyncio.timeout(WITHIN):
        while not look():
            await asyncio.sleep(every)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]
