"""When each session became Ready, and when everything has come to rest: what `rows` waits for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Never

from bench import process
from bench.beside import beside
from bench.ground import Ground, upkeep
from controller.resync import FAILED_PAUSE
from fsm.session import HASH_LABEL
from sandbox.kubeclient import ours
from sandbox.operators import Replica

WORK = 0.1  # seconds of CPU: more than a program takes at rest; one that is held may work on for long before it asks
ASK = 1.0  # seconds from one question for troubles to the next: the answer is work for who is measured

Clock = Callable[[], float]


class Diary:
    """Follows the watch of the session Pods from before anything happens."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._clock: Clock = asyncio.get_running_loop().time
        self._changed = 0
        self._retrying: set[str] = set()
        self.seen: set[str] = set()
        self.ready: dict[str, float] = {}

    async def write(self) -> Never:
        """Follow for ever: the API server ends the watch of who reads slowly; a new one begins with all there is."""
        while True:
            async for pod in self._ground.kube.watch():
                self.take(pod)

    def take(self, pod: Mapping[str, Any]) -> None:
        """Note what a session's Pod says now."""
        session, record = pod["metadata"]["labels"][HASH_LABEL], ours(pod)
        self._changed += 1
        self.seen.add(session)
        if record.get("state") == "Ready":
            self.ready.setdefault(session, self._clock())
        # A conflict has no such time: who is bad for good is at rest. A Pod that is going may say it to its end.
        if "retry-at" in record and not pod["metadata"].get("deletionTimestamp"):
            self._retrying.add(session)
        else:
            self._retrying.discard(session)

    async def until_ready(self, sessions: Iterable[str]) -> None:
        """Return once each of these has been seen Ready."""
        wanted = set(sessions)
        await self._ground.until(lambda: wanted <= self.ready.keys())

    async def until_quiet(self) -> None:
        """Return once nothing was asked, no Pod changed and no program worked for so long that it is rest, and nothing
        is known that would end it.

        Raises:
            TimeoutError: the row takes for ever.
        """
        seconds = self._ground.depth.quiet
        async with asyncio.timeout(self._ground.within):
            while True:
                if await self.is_well():
                    await self._silence(seconds)
                    if await self.is_well():
                        return
                # A look may have failed because of it, which nothing tells: it would come again.
                seconds = max(seconds, FAILED_PAUSE + ASK)
                await asyncio.sleep(ASK)

    async def _silence(self, seconds: float) -> None:
        before, since = await self._state(), self._clock()
        while self._clock() - since < seconds:
            await asyncio.sleep(0.1)
            if (now := await self._state()) != before:
                before, since = now, self._clock()

    async def is_well(self) -> bool:
        """Whether no session waits for its next try, and no operator has trouble."""
        return not self._retrying and not any([await troubles(each) for each in self._ground.operators])

    async def _state(self) -> tuple[int, int, int, int]:
        worked = sum(map(process.run_time, self._ground.stage.operators))
        asked = await self._ground.asked()
        of_kubernetes = (asked - upkeep(asked)).total()
        return self._ground.cloudflare.total, of_kubernetes, self._changed, int(worked / WORK)

    def waited(self, since: Mapping[str, float]) -> list[float]:
        """Seconds to Ready, shortest first, each from its own beginning."""
        return sorted(self.ready[session] - begun for session, begun in since.items())


async def troubles(replica: Replica) -> list[str]:
    """What is in its way, as its /healthz tells: the topics, and the watches that have not listed everything."""
    body: Mapping[str, Any] = (await replica.health())[1]
    return [*body["problems"], *(name for name, watch in body["watches"].items() if not watch["synced"])]


@asynccontextmanager
async def diary(ground: Ground) -> AsyncIterator[Diary]:
    """A diary that is written while the block lasts."""
    book = Diary(ground)
    async with beside(book.write):
        yield book


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]
