"""What is known of one kind of object, ordered by resourceVersion. Pure bookkeeping: `k8s.reflector` feeds it.

Four sources tell about an object, in any order: complete lists, watch events, the replies to our own writes, and
single reads. What is newer is decided by `resourceVersion` compared as an integer: all versions of one kind come from
one counter of one store (etcd's revision; comparing them is documented since Kubernetes 1.35 and was true before).
So a late event never undoes what a reply or a list has told, and a deleted object does not come back by an old event.

Evidence has a time. `began` is the sending of the latest request that proves the state of an entry (a list, or our
own write's reply); `heard` is when its facts were last news. They differ for watch events: an event is newer than all
that is known, so it inherits that `began`, but it may have been on its way for a while, so its arrival proves nothing
good. Bad news (a piece is missing or changed) counts from `heard`, or from the last word of the watch that did not
refute it: believing it costs one idempotent repair, and waiting for a request to prove it would mean not to see drift
at all. Good news (all is in place) counts from `began`.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from fsm.observation import NEVER

T = TypeVar("T")

# Deleted names that are remembered: far more than can be deleted between an event and its late duplicate.
TOMBSTONES = 4_096


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """The newest known state of an object; times in monotonic seconds."""

    version: int
    facts: T
    began: float
    heard: float


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A deletion: `version` at or after the deleted object's, `heard` when we learnt of it."""

    version: int
    heard: float


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """New facts about a name. `witnessed`: the object was told to be deleted, not merely missing in a list."""

    old: T | None
    new: T | None
    witnessed: bool = False


class Cache(Generic[T]):
    """The entries by name; `on_change` is called after each change of facts."""

    def __init__(self, on_change: Callable[[Change[T]], None]) -> None:
        self._on_change = on_change
        self._entries: dict[str, Entry[T]] = {}
        self._tombs: OrderedDict[str, Tombstone] = OrderedDict()
        self._floor = 0  # the newest complete list: older news about unknown names is old news
        self.newest = 0  # the highest version ever seen
        self.began = NEVER  # when the newest complete list was sent

    def get(self, name: str) -> Entry[T] | None:
        return self._entries.get(name)

    def __iter__(self) -> Iterator[Entry[T]]:
        return iter(self._entries.values())

    def missing_since(self, name: str) -> float:
        """The latest evidence that `name` does not exist."""
        tomb = self._tombs.get(name)
        return max(self.began, tomb.heard if tomb else NEVER)

    def hear(self, name: str, version: int, facts: T | None, *, at: float) -> None:
        """A watch event that arrived at `at`; facts None: the object is none of ours."""
        self._put(name, version, facts, began=self.began, heard=at)

    def learn(self, name: str, version: int, facts: T | None, *, began: float) -> None:
        """The reply to a request for this object that was sent at `began`."""
        self._put(name, version, facts, began=began, heard=began)

    def bury(self, name: str, version: int, *, at: float, witnessed: bool) -> None:
        """The object was deleted (or left the selection) at this version."""
        known = self._entries.get(name)
        self.newest = max(self.newest, version)
        # What the deletion, or the list that misses the object, did not see yet stays.
        if known and version < known.version:
            return
        self._entries.pop(name, None)
        self._tombs[name] = Tombstone(max(version, self._oldest(name)), at)
        self._tombs.move_to_end(name)
        if len(self._tombs) > TOMBSTONES:
            self._tombs.popitem(last=False)
        if known:
            self._on_change(Change(known.facts, None, witnessed))

    def install(self, listed: Mapping[str, tuple[int, T]], version: int, *, began: float, newest: int) -> None:
        """A complete list: the server's state at `version`, asked at `began`, when `newest` was the highest seen."""
        if version < newest:
            self._rewind()
        for name in [name for name in self._entries if name not in listed]:
            if self._entries[name].version > version:
                self._prove(name, began)
            else:
                self.bury(name, version, at=began, witnessed=False)
        for name, (at, facts) in listed.items():
            self.learn(name, at, facts, began=began)
        self._floor = max(self._floor, version)
        self.newest = max(self.newest, version)
        self.began = max(self.began, began)

    def _put(self, name: str, version: int, facts: T | None, *, began: float, heard: float) -> None:
        self.newest = max(self.newest, version)
        known = self._entries.get(name)
        if known and version < known.version:
            self._prove(name, began)
            return
        if not known and version <= self._oldest(name):
            return
        if facts is None:
            if known:
                self.bury(name, version, at=heard, witnessed=False)
            return
        # What is newer than a proven state existed after the proof, too.
        if known:
            began, heard = max(began, known.began), max(heard, known.heard)
        is_same = known is not None and known.facts == facts
        self._entries[name] = Entry(version, known.facts if known and is_same else facts, began, heard)
        if not is_same:
            self._on_change(Change(known.facts if known else None, facts))

    def _prove(self, name: str, began: float) -> None:
        """An answer asked at `began` is older than what is known, which therefore came after it: as good a proof.

        Without this, a look whose answer an event had overtaken proved nothing, and its caller asked for it for ever.
        """
        known = self._entries[name]
        self._entries[name] = replace(known, began=max(known.began, began), heard=max(known.heard, began))

    def _oldest(self, name: str) -> int:
        tomb = self._tombs.get(name)
        return max(self._floor, tomb.version if tomb else 0)

    def _rewind(self) -> None:
        """The store was restored from a backup: versions of before mean nothing any more."""
        self._entries = {name: replace(entry, version=0) for name, entry in self._entries.items()}
        self._tombs.clear()
        self._floor = self.newest = 0
