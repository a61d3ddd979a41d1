"""What the running server knows beside its objects: faults, held requests, open streams, counted calls, the outage.

`server` asks it on the way of every request; the handlers of `control` change it.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from sandbox.kubernetes.api import Api
from sandbox.kubernetes.faults import Faults
from sandbox.kubernetes.objects import Json
from sandbox.kubernetes.requests import Request, Stream

# Seconds between bookmarks of a quiet stream; a real server's minute.
_BOOKMARK_INTERVAL = 60.0


class Call(NamedTuple):
    """What is counted of a request; status 0: the connection was dropped."""

    method: str
    path: str
    status: int
    content_type: str
    is_watch: bool


class Switchboard:
    """The state of one server."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.faults = Faults()
        self.calls: Counter[Call] = Counter()
        self.is_down = False
        self.bookmark_interval = _BOOKMARK_INTERVAL
        self._held: dict[asyncio.Event, Json] = {}
        self._wakes: set[asyncio.Event] = set()
        self._silence = asyncio.Event()

    def count(self, request: Request, status: int) -> None:
        """Remember that this was asked and how it was answered."""
        content_type = request.content_type if request.body else ""
        self.calls[Call(request.method, request.path, status, content_type, request.is_watch)] += 1

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

    @contextlib.contextmanager
    def waking(self, stream: Stream) -> Iterator[asyncio.Event]:
        """An event that is set when the stream has something to tell, or something may have happened to it."""
        wake = asyncio.Event()
        stream.watch.wake = wake.set
        self._wakes.add(wake)
        try:
            yield wake
        finally:
            self._wakes.discard(wake)

    def wake_all(self) -> None:
        """Let every stream look at the faults again."""
        for wake in self._wakes:
            wake.set()

    def set_down(self, *, is_down: bool) -> None:
        """Begin or end an outage; it ends every stream, also the silent ones, and lets held requests go."""
        self.is_down = is_down
        if is_down:
            self._silence.set()
            self._silence = asyncio.Event()
            self.release()
            self.wake_all()

    async def silence(self) -> None:
        """Wait for the next outage: a half-open stream says nothing before."""
        await self._silence.wait()
