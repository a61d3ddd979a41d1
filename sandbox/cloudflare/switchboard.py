"""What the running server knows beside its world: faults, held requests, the calls so far, the outage.

`server` asks it on the way of every request; the handlers of `control` change it.
"""

import asyncio
from collections import Counter, deque
from typing import NamedTuple

from sandbox.cloudflare.envelope import Json, Request
from sandbox.cloudflare.faults import new_faults
from sandbox.cloudflare.world import World

_REMEMBERED = 100_000  # calls that can be told one by one


class Call(NamedTuple):
    """One request; status 0: no answer was given. `id` tells in which order they came."""

    id: int
    method: str
    path: str
    status: int


class Switchboard:
    """The state of one server."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.faults = new_faults()
        self.calls: deque[Call] = deque(maxlen=_REMEMBERED)
        self.counts: Counter[str] = Counter()
        self.total = 0
        self.is_down = False
        self.latency = 0.0  # seconds, for every request
        self._held: dict[asyncio.Event, Json] = {}

    def count(self, request: Request, status: int) -> None:
        """Remember that this was asked and how it was answered."""
        self.total += 1
        self.calls.append(Call(self.total, request.method, request.path, status))
        self.counts[f"{request.method} {kind_of(request.path)}"] += 1

    def forget_calls(self) -> None:
        """Count from here."""
        self.calls.clear()
        self.counts.clear()
        self.total = 0

    async def hold(self, request: Request, when: str) -> None:
        """Wait until somebody releases this request."""
        released = asyncio.Event()
        self._held[released] = {"method": request.method, "path": request.path, "when": when}
        try:
            await released.wait()
        finally:
            self._held.pop(released, None)

    def held(self) -> list[Json]:
        """The requests that wait, oldest first."""
        return list(self._held.values())

    def release(self) -> int:
        """Let every held request go on; how many those were."""
        for released in self._held:
            released.set()
        return len(self._held)


def kind_of(path: str) -> str:
    """A path without its ids: what calls are counted by."""
    parts = path.strip("/").split("/")
    return "/".join(part for part in parts if not _is_id(part))


def _is_id(part: str) -> bool:
    return len(part) in (32, 36) and all(letter in "0123456789abcdef-" for letter in part)
