"""Pods whose session hash is none: they get no hostname, and an Event says so.

`k8s.pods` brings each of them up once, on every replica, since whoever leads then may end before it told them. `app`
runs the telling in each term; what was mended meanwhile is left alone.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Never

from controller.ports import Events
from fsm.errors import GoneError, SessionError
from fsm.observation import PodFacts

_log = logging.getLogger(__name__)

MOST = 100  # Pods that the next leader tells again
INVALID_HASH = (
    "InvalidSessionHash: the label opencode.ai/session-hash is not 12 lower-case hex digits, so this Pod gets no "
    "hostname. Correct the label"
)


class Mislabeled:
    """`read(name)` is the Pod of that name as it is now, with its label as `session`."""

    def __init__(self, events: Events, read: Callable[[str], Awaitable[PodFacts]]) -> None:
        self._events = events
        self._read = read
        self._found: dict[str, PodFacts] = {}  # by uid
        self._untold: dict[str, None] = {}  # uids
        self._news = asyncio.Event()

    def found(self, name: str, namespace: str, uid: str, label: str) -> None:
        """Remember this Pod, and tell it if this replica leads."""
        _log.warning("%s", INVALID_HASH, extra={"pod": name, "label": label[:63]})
        self._found[uid] = PodFacts(
            namespace, name, uid, label, "", deleting=False, resource_version="", first_seen=0.0
        )
        if len(self._found) > MOST:
            oldest = next(iter(self._found))
            del self._found[oldest]
            self._untold.pop(oldest, None)
        self._untold[uid] = None
        self._news.set()

    async def run(self) -> Never:
        """Tell each of them, and then each that comes; never returns."""
        self._untold = dict.fromkeys(self._found)
        while True:
            while self._untold:
                uid = next(iter(self._untold))
                del self._untold[uid]
                if uid in self._found and await self._stands(self._found[uid]):
                    await self._tell(self._found[uid])
            self._news.clear()
            await self._news.wait()

    async def _stands(self, pod: PodFacts) -> bool:
        """Whether it is still there and labeled like that; told rather once too often than not at all."""
        with suppress(SessionError):
            try:
                now = await self._read(pod.name)
            except GoneError:
                now = None
            if now is None or (now.uid, now.session) != (pod.uid, pod.session):
                self._found.pop(pod.uid, None)
                return False
        return True

    async def _tell(self, pod: PodFacts) -> None:
        reason, _, note = INVALID_HASH.partition(": ")
        await self._events.post(pod, reason=reason, note=note, warning=True)
