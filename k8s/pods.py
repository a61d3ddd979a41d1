"""The session Pods: metadata alone, as `fsm.observation.PodFacts`, and the writer of their record.

Watched for `controller.queue` (each changed session is a key), asked by `controller.reconcile`, and by everybody who
removes something (`live`). Other people's annotations may be secrets: they are dropped while parsing.
"""

import random
import sys
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Set
from contextlib import aclosing
from dataclasses import replace

from fsm.errors import GoneError, NotKeptError, StaleError, TransientError
from fsm.observation import PodFacts
from fsm.session import HASH_LABEL, PREFIX, is_hash
from k8s import annotation
from k8s.cache import Change
from k8s.client import METADATA, METADATA_LIST, Kube, Object
from k8s.errors import JSON_PATCH
from k8s.listing import pages
from k8s.reflector import Reflector

SELECTABLE = 100  # hashes in one label selector, 1.5 KB: much longer URLs are cut by proxies
_POLICY = "look for an admission policy or a webhook on Pods and their status"
_REPORTED = 1_000  # uids of Pods with a bad hash that are remembered


class Pods:
    """`controller.ports.Pods`, and what `controller.living` asks as its method `live`.

    `on_change(session)` follows each change that says something; `on_gone(pod)` each that was seen to go (a
    deletionTimestamp, a DELETED event, a 404), which a list that misses it is not; `on_invalid(name, namespace,
    uid, label)` comes once for each Pod whose hash is none. `reflector.run()` has to run.
    """

    def __init__(
        self,
        kube: Kube,
        *,
        namespace: str,
        selector: str,
        now: Callable[[], float],
        on_change: Callable[[str], None],
        on_gone: Callable[[PodFacts], None],
        on_invalid: Callable[[str, str, str, str], None],
        time_limit: float = 10.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._kube = kube
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._now = now
        self._on_change = on_change
        self._on_gone = on_gone
        self._on_invalid = on_invalid
        self._time_limit = time_limit
        self._names: dict[str, set[str]] = {}
        self._reported: OrderedDict[str, None] = OrderedDict()
        self.reflector: Reflector[PodFacts] = Reflector(
            kube,
            self._path,
            parse=self._parse,
            on_change=self._changed,
            now=now,
            selector=selector,
            is_metadata=True,
            jitter=jitter,
        )

    def of(self, session: str) -> tuple[PodFacts, ...]:
        """Every Pod of this hash that exists, also those that are going."""
        entries = (self.reflector.get(name) for name in sorted(self._names.get(session, ())))
        return tuple(entry.facts for entry in entries if entry)

    def sessions(self) -> Set[str]:
        """The hashes that have a Pod."""
        return frozenset(self._names)

    async def live(self, sessions: Collection[str]) -> Set[str]:
        """Those of `sessions` (1 to `SELECTABLE`) that have a live Pod, read live by the hash label alone: the
        selector of the watch may change."""
        query = (("labelSelector", f"{HASH_LABEL} in ({','.join(sorted(sessions))})"),)
        found: set[str] = set()
        batches = pages(
            self._kube, self._path, query=query, accept=METADATA_LIST, timeout=self._time_limit, is_short=True
        )
        async with aclosing(batches):
            async for page in batches:
                found.update(_live_hash(item) for item in page.get("items") or ())
        return found & set(sessions)

    async def write(self, pod: PodFacts, texts: Mapping[str, str], keys: Collection[str]) -> PodFacts:
        """Compare-and-set: make the annotations in `keys` exactly `texts`, if they are still what `pod` says.

        Raises:
            StaleError: they are not (or it is another Pod now); the cache holds what is there.
            GoneError: the Pod is gone.
            TransientError: also when the server refuses the write although everything is as `pod` says.
            NotKeptError: it keeps something else, which is in the cache.
        """
        patch = annotation.build(pod, texts, keys)
        if not patch:
            return pod
        try:
            kept, facts = await self._exchange(pod, "PATCH", "/status", patch)
        except StaleError:
            _, facts = await self._exchange(pod, "GET")
            if facts and annotation.would_hold(pod, facts, keys):
                text = "the API server refuses to write the Pod's annotations"
                raise TransientError("RecordRefused", text, _POLICY) from None
            raise
        if facts is None or facts.uid != pod.uid:
            raise StaleError("ObjectChanged", "the Pod is another one now")
        if any(kept.get(key) != texts.get(key) for key in keys):
            text = "the API server does not keep the Pod's annotations as they are written"
            raise NotKeptError("RecordRefused", text, _POLICY)
        return facts

    async def _exchange(
        self, pod: PodFacts, method: str, part: str = "", patch: list[Object] | None = None
    ) -> tuple[Mapping[str, str], PodFacts | None]:
        """A request for this Pod, whose reply goes into the cache at once: its annotations, and the facts there."""
        began = self._now()
        path = f"{self._path}/{pod.name}{part}"
        kind = JSON_PATCH if patch else None
        try:
            reply = await self._kube.request(
                method, path, body=patch, content_type=kind, accept=METADATA, timeout=self._time_limit
            )
        except GoneError:
            self.reflector.forget(pod.name, pod.uid, began)
            raise
        facts = self.reflector.offer(reply, began)
        return reply["metadata"].get("annotations") or {}, facts

    def _parse(self, item: Object, known: PodFacts | None) -> PodFacts | None:
        metadata = item["metadata"]
        label = (metadata.get("labels") or {}).get(HASH_LABEL)
        if label is None:
            return None
        if not is_hash(label):
            self._report(metadata, label)
            return None
        annotations = metadata.get("annotations") or {}
        uid = str(metadata.get("uid"))
        return PodFacts(
            namespace=str(metadata.get("namespace")),
            name=str(metadata.get("name")),
            uid=uid,
            session=label,
            created=str(metadata.get("creationTimestamp")),
            deleting=bool(metadata.get("deletionTimestamp")),
            resource_version=str(metadata.get("resourceVersion")),
            first_seen=known.first_seen if known and known.uid == uid else self._now(),
            bare=not annotations,
            annotations={sys.intern(key): text for key, text in annotations.items() if key.startswith(PREFIX)},
        )

    def _report(self, metadata: Object, label: str) -> None:
        uid = str(metadata.get("uid"))
        if uid in self._reported:
            return
        self._reported[uid] = None
        if len(self._reported) > _REPORTED:
            self._reported.popitem(last=False)
        self._on_invalid(str(metadata.get("name")), str(metadata.get("namespace")), uid, label)

    def _changed(self, change: Change[PodFacts]) -> None:
        old, new = change.old, change.new
        if old and new and replace(old, resource_version=new.resource_version) == new:
            return
        if old and not (new and new.session == old.session):
            self._names[old.session].discard(old.name)
            if not self._names[old.session]:
                del self._names[old.session]
        if new:
            self._names.setdefault(new.session, set()).add(new.name)
        for pod in (old if change.witnessed else None, new if new and new.deleting else None):
            if pod:
                self._on_gone(pod)
        for session in {pod.session for pod in (old, new) if pod}:
            self._on_change(session)


def _live_hash(item: Object) -> str:
    metadata = item.get("metadata") or {}
    return "" if metadata.get("deletionTimestamp") else str((metadata.get("labels") or {}).get(HASH_LABEL))
