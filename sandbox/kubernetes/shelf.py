"""Where the objects are: one global resourceVersion, the history of changes, the watches.

`store` decides what a write means and puts the result here; `api` lists and watches. Objects on the shelf never change.
"""

from collections import defaultdict, deque
from collections.abc import Iterable

from sandbox.kubernetes.apply import Owners
from sandbox.kubernetes.objects import Json, with_metadata
from sandbox.kubernetes.refusals import expired
from sandbox.kubernetes.selection import Selection
from sandbox.kubernetes.watching import Change, Watch

Key = tuple[str, str]  # namespace ("" for objects without) and name


class Shelf:
    """Objects by storage and key. `version` is the newest resourceVersion, `oldest` where the history begins."""

    def __init__(self, history: int) -> None:
        """`history`: how many changes are remembered; a watch or a list cannot begin before them."""
        self.version = 1
        self.oldest = 1
        self.history = history
        self._objects: defaultdict[str, dict[Key, Json]] = defaultdict(dict)
        self._owners: defaultdict[str, dict[Key, Owners]] = defaultdict(dict)
        self._changes: deque[Change] = deque()
        # In the order in which they came: with a set no story could be told twice.
        self._watches: defaultdict[str, dict[Watch, None]] = defaultdict(dict)

    def find(self, storage: str, key: Key) -> Json | None:
        """The object, or None."""
        return self._objects[storage].get(key)

    def owners(self, storage: str, key: Key) -> Owners:
        """Who owns its fields."""
        return self._owners[storage].get(key, ())

    def put(self, storage: str, key: Key, item: Json, owners: Owners) -> Json:
        """Keep `item` under the next version; returns it as it is kept."""
        kept = with_metadata(item, resourceVersion=str(self.version + 1))
        self._owners[storage][key] = owners
        self._record(storage, key, kept)
        return kept

    def remove(self, storage: str, key: Key) -> None:
        """Take the object away."""
        del self._owners[storage][key]
        self._record(storage, key, None)

    def _record(self, storage: str, key: Key, after: Json | None) -> None:
        self.version += 1
        objects = self._objects[storage]
        change = Change(self.version, storage, key, objects.get(key), after)
        if after is None:
            del objects[key]
        else:
            objects[key] = after
        self._changes.append(change)
        while len(self._changes) > self.history:
            self.oldest = self._changes.popleft().version
        for watch in tuple(self._watches[storage]):
            watch.offer(change)

    def compact(self) -> None:
        """Forget the whole history."""
        self._changes.clear()
        self.oldest = self.version

    def select(self, storage: str, selection: Selection) -> list[Json]:
        """What matches now, in the order of namespace and name."""
        return [item for _, item in self.snapshot(storage, self.version) if selection.matches(item)]

    def snapshot(self, storage: str, version: int) -> list[tuple[Key, Json]]:
        """Every object of this storage as it was at `version`, ordered by key.

        Raises:
            StatusError (410): the history does not reach back so far.
        """
        if version < self.oldest:
            raise expired("The resourceVersion for the provided list is too old.")
        objects: dict[Key, Json | None] = dict(self._objects[storage])
        for change in reversed(self._changes):
            if change.version <= version:
                break
            if change.storage == storage:
                objects[change.key] = change.before
        return sorted(((key, item) for key, item in objects.items() if item is not None), key=lambda pair: pair[0])

    def follow(self, storage: str, watch: Watch, after: int) -> None:
        """Tell `watch` every change after version `after`, those of the past at once. `leave` ends it."""
        if after < self.oldest:
            watch.expire(after, self.oldest)
            return
        for change in self._since(after):
            if change.storage == storage:
                watch.offer(change)
        self._watches[storage][watch] = None

    def _since(self, version: int) -> Iterable[Change]:
        newest_first = []
        for change in reversed(self._changes):
            if change.version <= version:
                break
            newest_first.append(change)
        return reversed(newest_first)

    def leave(self, watch: Watch) -> None:
        """The client has gone."""
        for watches in self._watches.values():
            watches.pop(watch, None)
