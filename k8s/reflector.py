"""List + watch -> `k8s.cache`: follows one kind of object in one namespace for the life of the process.

`k8s.pods` and `k8s.routes` own one each; `run` is a task of the composition root. The first state comes as a stream
(sendInitialEvents) or, from servers without that, as pages; then events follow, from the last resourceVersion after
every break. Whatever the server does (410, errors, silence, streams that end at once), `run` goes on, with growing
pauses, and says in `problem` what is in the way.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Generic, NoReturn, Protocol, TypeVar

from fsm.backoff import delay
from fsm.errors import SessionError, TransientError
from fsm.observation import NEVER
from k8s import selection
from k8s.cache import Cache, Change, Entry
from k8s.client import JSON, METADATA, METADATA_LIST, Kube, Object, Query
from k8s.errors import ExpiredError, RejectedError, of_failure, of_status
from k8s.listing import pages


class Identified(Protocol):
    """Facts about one object, whose name another object may have later."""

    @property
    def uid(self) -> str: ...


_log = logging.getLogger(__name__)

T = TypeVar("T", bound=Identified)

# A server ends a watch after the seconds asked for and says something (a bookmark) about two seconds before. On a quiet
# cluster that is its only word: a bookmark between comes after two minutes, or not at all (tried on 1.36). So the short
# life is the heartbeat, and silence beyond it is a connection that nobody holds at the other end any more.
LIFE = 60  # seconds
IDLE = LIFE + 15.0  # seconds of silence that end a watch
INITIAL = 15.0  # seconds for the initial events: a server that ignores the wish for them never ends them
STEADY = 30.0  # seconds that a watch has to live to count as a success
LONGEST = 30.0  # seconds between two attempts
MOST_ASKED = 300.0  # seconds of pause that a server may ask for

_END_OF_INITIAL = "k8s.io/initial-events-end"


class Reflector(Generic[T]):
    """The cache of the objects at `path` (of `selector`), as `parse(object, what is known of its name)` sees them.

    `synced` is set once the cache is complete; `last_sync` is when the server was last heard; `problem` is why it
    is not heard now. `on_recovered()` wakes those who wait for a problem to end.
    """

    def __init__(
        self,
        kube: Kube,
        path: str,
        *,
        parse: Callable[[Object, T | None], T | None],
        on_change: Callable[[Change[T]], None],
        on_recovered: Callable[[], None] = lambda: None,
        now: Callable[[], float],
        selector: str = "",
        is_metadata: bool = False,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._kube = kube
        self._path = path
        self._parse = parse
        self._on_recovered = on_recovered
        self._now = now
        self._selector: Query = (("labelSelector", selector),) if selector else ()
        self._is_selected = selection.test_of(selector)
        self._accept, self._accept_list = (METADATA, METADATA_LIST) if is_metadata else (JSON, JSON)
        self._jitter = jitter
        self._cache: Cache[T] = Cache(on_change)
        self._position = 0  # the version that the next watch starts from; 0: list first
        self._streams = True  # whether the server may know sendInitialEvents
        self._turn = asyncio.Lock()
        self._unsynced = TransientError("NotSynced", "nothing was read yet")
        self._failed: tuple[float, SessionError] = (NEVER, self._unsynced)
        self.synced = asyncio.Event()
        self.last_sync: float | None = None
        self.problem: SessionError | None = self._unsynced

    @property
    def incomplete(self) -> SessionError | None:
        """Why the cache may lack something: it was never read to its end, or the server is not heard now."""
        return self.problem or (None if self.synced.is_set() else self._unsynced)

    def get(self, name: str) -> Entry[T] | None:
        return self._cache.get(name)

    def entries(self) -> tuple[Entry[T], ...]:
        return tuple(self._cache)

    def missing_since(self, name: str) -> float:
        """The latest evidence (monotonic seconds) that `name` does not exist."""
        return self._cache.missing_since(name)

    def offer(self, reply: Object, began: float) -> T | None:
        """The reply to a request sent at `began`, into the cache at once; what is known of the object afterwards."""
        name, version = _identity(reply)
        if self._is_selected(reply["metadata"].get("labels") or {}):
            self._cache.learn(name, version, self._parsed(name, reply), began=began)
        else:
            self._cache.bury(name, version, at=began, witnessed=True)  # what the watch will say as well, or has said
        known = self._cache.get(name)
        return known.facts if known else None

    def forget(self, name: str, uid: str, began: float) -> None:
        """A request sent at `began` deleted the object with this uid, or found it gone."""
        known = self._cache.get(name)
        if known and known.facts.uid == uid:
            self._cache.bury(name, known.version, at=began, witnessed=True)

    async def look(self, since: float) -> None:
        """Return once a complete list that was sent at or after `since` is in the cache; callers share lists.

        Raises:
            SessionError: the list failed.
        """
        asked = self._now()
        async with self._turn:
            if self._cache.began >= since and self.synced.is_set():
                return
            # Those who waited for a list that failed share the failure: each trying in turn would take minutes.
            if self._failed[0] > asked:
                raise self._failed[1].with_traceback(None)
            try:
                await self._list()
            except SessionError as error:
                self._failed = (self._now(), error)
                raise

    async def run(self) -> NoReturn:
        """Follow the objects for ever."""
        failures = 0
        while True:
            opened, asked_for, position = self._now(), 0.0, self._position
            try:
                await self._follow()
            except ExpiredError:
                self._position = 0
                # A server that has restarted answers this once. Pods that go before we list again go unwitnessed.
                if position:
                    continue
            except SessionError as error:
                self.problem = error
                asked_for = (error.retry_after or 0.0) if isinstance(error, TransientError) else 0.0
            except Exception as error:
                # Whatever a server or a proxy sends: a watch that ends for good would take the process along.
                _log.exception("a watch failed in an unknown way: this is a bug")
                self.problem = of_failure(error)
            failures = 0 if self._now() - opened >= STEADY else failures + 1
            await asyncio.sleep(max(min(asked_for, MOST_ASKED), min(LONGEST, delay(failures, self._jitter()))))

    async def _follow(self) -> None:
        """One watch, from its opening to its end."""
        if not self._position and not self._streams:
            self._position = await self._list()
        is_initial = not self._position
        try:
            await self._watch(is_initial=is_initial)
        except RejectedError:
            if not is_initial:
                raise
            self._streams = False
            await self._follow()

    async def _watch(self, *, is_initial: bool) -> None:
        began, newest = self._now(), self._cache.newest
        query = self._query(is_initial=is_initial)
        async with self._kube.stream(self._path, query=query, accept=self._accept, idle=IDLE) as events:
            had, self.problem = self.problem, None
            if is_initial:
                listed: dict[str, tuple[int, T]] = {}
                self._position = await self._collect(events, listed)
                self._install(listed, self._position, began, newest)
            if had is not None and had is not self._unsynced:
                self._on_recovered()
            async for event in events:
                self._take(event)
            # An orderly end is a word, too: everything before it was told.
            self.last_sync = self._now()

    def _query(self, *, is_initial: bool) -> Query:
        common = (("watch", "1"), ("allowWatchBookmarks", "true"), ("timeoutSeconds", str(LIFE)), *self._selector)
        if is_initial:
            # No resourceVersion: the server reads the newest state, not that of a cache that lags behind.
            return (*common, ("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan"))
        return (*common, ("resourceVersion", str(self._position)))

    async def _collect(self, events: AsyncIterator[Object], listed: dict[str, tuple[int, T]]) -> int:
        """The initial events into `listed`; the version that they end with."""
        try:
            async with asyncio.timeout(INITIAL):
                async for event in events:
                    item = self._object(event)
                    if event["type"] != "BOOKMARK":
                        self._gather(listed, item, is_there=event["type"] != "DELETED")
                    elif _END_OF_INITIAL in (item["metadata"].get("annotations") or {}):
                        return _version(item)
        except TimeoutError:
            self._streams = False
        raise TransientError("KubernetesUnavailable", "the initial events of the watch did not come to an end")

    def _take(self, event: Object) -> None:
        item = self._object(event)
        name, version = _identity(item)
        match event["type"]:
            case "BOOKMARK":
                if version < self._position:
                    raise ExpiredError("VersionExpired", "the API server went back to an older state")
            case "DELETED":
                self._cache.bury(name, version, at=self._now(), witnessed=True)
            case _:
                self._cache.hear(name, version, self._parsed(name, item), at=self._now())
        self._position = max(self._position, version)
        self.last_sync = self._now()

    def _object(self, event: Object) -> Object:
        item = event.get("object")
        if event.get("type") not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK") or not isinstance(item, dict):
            raise of_status(item if isinstance(item, dict) else {}, self._path)
        return item

    async def _list(self) -> int:
        """Everything, page by page, into the cache; the list's version."""
        began, newest, version = self._now(), self._cache.newest, 0
        listed: dict[str, tuple[int, T]] = {}
        async with aclosing(pages(self._kube, self._path, query=self._selector, accept=self._accept_list)) as batches:
            async for page in batches:
                version = _version(page)
                for item in page.get("items") or ():
                    self._gather(listed, item, is_there=True)
        self._install(listed, version, began, newest)
        return version

    def _gather(self, listed: dict[str, tuple[int, T]], item: Object, *, is_there: bool) -> None:
        name, version = _identity(item)
        facts = self._parsed(name, item) if is_there else None
        if facts is None:
            listed.pop(name, None)
        else:
            listed[name] = (version, facts)

    def _install(self, listed: dict[str, tuple[int, T]], version: int, began: float, newest: int) -> None:
        self._cache.install(listed, version, began=began, newest=newest)
        self.last_sync = self._now()
        self.synced.set()

    def _parsed(self, name: str, item: Object) -> T | None:
        known = self._cache.get(name)
        return self._parse(item, known.facts if known else None)


def _identity(item: Object) -> tuple[str, int]:
    """Name (a bookmark has none) and version of an object."""
    return str((item.get("metadata") or {}).get("name") or ""), _version(item)


def _version(item: Object) -> int:
    text = str((item.get("metadata") or {}).get("resourceVersion") or "")
    if not text.isdecimal():
        raise TransientError("KubernetesUnavailable", "the API server sent an object without a resourceVersion")
    return int(text)
