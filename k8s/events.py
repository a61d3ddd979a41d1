"""Kubernetes Events about a Pod: what `kubectl describe pod` shows. Best effort: never raises, never waits for long.

`controller.report` calls it after the record was written. The same news about the same Pod is one Event whose series
counts.
"""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from fsm.errors import GoneError, PermanentError, SessionError, SharedError, StaleError
from fsm.observation import PodFacts
from fsm.session import MANAGER
from k8s.client import Kube, Object
from k8s.lease import microtime

API = "events.k8s.io/v1"

_NOTE_LIMIT = 1_024  # bytes: the server refuses more
_NAME_LIMIT = 230  # characters of the Pod's name in the Event's
_REMEMBERED = 1_000  # Events whose count is known
_TIMEOUT = 5.0  # seconds
_MERGE = "application/merge-patch+json"
_LASTING = (PermanentError, SharedError)  # what fails the next Event as well

_log = logging.getLogger(__name__)


class Events:
    """`controller.ports.Events`. `instance` names this process; `wall()` gives aware times.

    `problem` is why no Event can be posted until a person acts.
    """

    def __init__(self, kube: Kube, *, instance: str, wall: Callable[[], datetime]) -> None:
        self._kube = kube
        self._instance = instance
        self._wall = wall
        self._counts: OrderedDict[str, int] = OrderedDict()
        self.problem: SessionError | None = None
        self._failure = ""  # of the last Event

    async def post(self, pod: PodFacts, *, reason: str, note: str, warning: bool) -> bool:
        """Say `note` about the Pod; whether it arrived."""
        body = self._event(pod, reason=reason, note=_cut(note), warning=warning)
        try:
            await self._send(f"/apis/{API}/namespaces/{pod.namespace}/events", body)
        except SessionError as error:
            # A missing right fails every Event: once is enough.
            if str(error) != self._failure:
                _log.warning("an Event could not be posted: %s", error)
            # A lost Event is not posted again, so nothing would end the news of a short outage: who lost the lease in
            # it told for ever that the API server was away.
            self._failure, self.problem = str(error), error if isinstance(error, _LASTING) else None
            return False
        self._failure, self.problem = "", None
        return True

    async def _send(self, path: str, body: Object) -> None:
        name = body["metadata"]["name"]
        if name in self._counts:
            try:
                await self._repeat(f"{path}/{name}", name)
            except GoneError:
                # Events live for an hour: this one begins again.
                del self._counts[name]
            else:
                return
        try:
            await self._kube.request("POST", path, body=body, timeout=_TIMEOUT)
        except StaleError:
            # It exists: the reply to an earlier post was lost.
            await self._repeat(f"{path}/{name}", name)
        self._remember(name, max(1, self._counts.get(name, 0)))

    async def _repeat(self, path: str, name: str) -> None:
        count = self._counts.get(name, 1) + 1
        series = {"count": count, "lastObservedTime": microtime(self._wall())}
        await self._kube.request("PATCH", path, body={"series": series}, content_type=_MERGE, timeout=_TIMEOUT)
        self._remember(name, count)

    def _remember(self, name: str, count: int) -> None:
        self._counts[name] = count
        self._counts.move_to_end(name)
        if len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)

    def _event(self, pod: PodFacts, *, reason: str, note: str, warning: bool) -> Object:
        # Named after what it says: a repeat needs no look-up, and a lost reply makes no second Event.
        identity = "\0".join((self._instance, pod.uid, reason, note))
        digest = hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()
        return {
            "apiVersion": API,
            "kind": "Event",
            "metadata": {"name": f"{pod.name[:_NAME_LIMIT].rstrip('-.')}.{digest}", "namespace": pod.namespace},
            "eventTime": microtime(self._wall()),
            "reportingController": MANAGER,
            "reportingInstance": self._instance[:128],
            "action": "Provision",
            "reason": reason,
            "type": "Warning" if warning else "Normal",
            "note": note,
            "regarding": {
                "apiVersion": "v1",
                "kind": "Pod",
                "namespace": pod.namespace,
                "name": pod.name,
                "uid": pod.uid,
            },
        }


def _cut(note: str) -> str:
    raw = note.encode()
    return note if len(raw) <= _NOTE_LIMIT else raw[: _NOTE_LIMIT - 3].decode(errors="ignore") + "…"
