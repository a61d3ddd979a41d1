"""What the running server knows beside its world: faults, held requests, the calls so far, the outage.

`shell` asks it on the way of every request; the handlers of `control` change it.
"""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass

from sandbox.cloudflare.envelope import Json, Request
from sandbox.cloudflare.faults import new_faults
from sandbox.cloudflare.world import World

_REMEMBERED = 100_000  # calls that can be told one by one


@dataclass
class Call:
    """One request, numbered as they came; `status` is None while it waits, 0 if its connection was closed."""

    id: int
    method: str
    path: str
    status: int | None = None


class Switchboard:
    """The state of one server."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.faults = new_faults()
        self.calls: deque[Call] = deque(maxlen=_REMEMBERED)
        self.counts: Counter[str] = Counter()
        self.total = 0
        self.is_down = False
        self.down_status = 0  # what an outage answers with; 0 closes the connection
        self.latency = 0.0  # seconds, for every request
        self._held: dict[asyncio.Event, Json] = {}

    def count(self, request: Request) -> Call:
        """Remember that this was asked; the caller writes down how it was answered."""
        self.total += 1
        call = Call(self.total, request.method, request.path)
        self.calls.append(call)
        self.counts[f"{request.method} {kind_of(request.path)}"] += 1
        return call

    def forget_calls(self) -> None:
        """Count from here."""
        self.calls.clear()
        self.counts.clear()
        self.total = 0

    async def hold(self, call: Call, when: str) -> None:
        """Wait until somebody releases this request."""
        released = asyncio.Event()
        self._held[released] = {"id": call.id, "method": call.method, "path": call.path, "when": when}
        try:
            await released.wait()
        finally:
            self._held.pop(released, None)

    def held(self) -> list[Json]:
        """The requests that wait, oldest first."""
        return list(self._held.values())

    def release(self, number: int | None = None) -> int:
        """Let the held request with this id go on (None: all of them); how many those were."""
        freed = [event for event, told in self._held.items() if number in (None, told["id"])]
        for event in freed:
            event.set()
        return len(freed)


def kind_of(path: str) -> str:
    """A path without its ids: what calls are counted by."""
    parts = path.strip("/").split("/")
    return "/".join(part for part in parts if not _is_id(part))


def _is_id(part: str) -> bool:
    return len(part) in (32, 36) and all(letter in "0123456789abcdef-" for letter in part)
