"""Pods whose session hash is none: they get no hostname, and an Event says so.

`k8s.pods` brings each of them up once, on every replica, since whoever leads then may end before it told them. `app`
runs the telling in each term; what was mended meanwhile is left alone.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Never

from controller.ports import Events
from fsm.errors import GoneError, SessionError
from fsm.observation import PodFacts
from fsm.session import is_hash

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
        self._untold: deque[PodFacts] = deque(maxlen=MOST)
        self._news = asyncio.Event()

    def found(self, name: str, namespace: str, uid: str, label: str) -> None:
        """Remember this Pod, and tell it if this replica leads."""
        _log.warning("%s", INVALID_HASH, extra={"pod": name, "label": label[:63]})
        pod = PodFacts(namespace, name, uid, "", "", deleting=False, resource_version="", first_seen=0.0)
        self._found[uid] = pod
        if len(self._found) > MOST:
            del self._found[next(iter(self._found))]
        self._untold.append(pod)
        self._news.set()

    async def run(self) -> Never:
        """Tell each of them, and then each that comes; never returns."""
        self._untold = deque(self._found.values(), maxlen=MOST)
        while True:
            while self._untold:
                pod = self._untold.popleft()
                if await self._stands(pod):
                    await self._tell(pod)
                else:
                    self._found.pop(pod.uid, None)
            self._news.clear()
            await self._news.wait()

    async def _stands(self, pod: PodFacts) -> bool:
        """Whether it is still there and its hash none; what cannot be read is told rather once too often."""
        try:
            now = await self._read(pod.name)
        except GoneError:
            return False
        except SessionError:
            return True
        return now.uid == pod.uid and bool(now.session) and not is_hash(now.session)

    async def _tell(self, pod: PodFacts) -> None:
        reason, _, note = INVALID_HASH.partition(": ")
        await self._events.post(pod, reason=reason, note=note, warning=True)
