"""One client's watch: what it still has to be told.

`shelf` offers it every change of its kind of object; `server` (or a simulation) takes the events and is woken for more.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from sandbox.kubernetes.objects import Json, with_metadata
from sandbox.kubernetes.refusals import expired
from sandbox.kubernetes.selection import Selection

INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}

# Makes of a stored object what this client asked for: a shape, metadata alone, a table.
View = Callable[[Json], Json]


class Change(NamedTuple):
    """One write: what was there before and what afterwards (None: nothing). `version` is its resourceVersion."""

    version: int
    storage: str
    key: tuple[str, str]
    before: Json | None
    after: Json | None


class Watch:
    """A stream of watch events. `wake` is called whenever there is something to take; `is_over` ends the stream."""

    def __init__(self, selection: Selection, view: View, *, bookmarks: bool, kind: Json) -> None:
        """`kind` holds the apiVersion and kind of the objects, for bookmarks."""
        self.wake: Callable[[], None] = lambda: None
        self.bookmarks = bookmarks
        self.is_over = False
        self._selection = selection
        self._view = view
        self._kind = kind
        self._waiting: deque[Json] = deque()

    def begin(self, items: Iterable[Json]) -> None:
        """Tell what is there already."""
        for item in items:
            self._tell("ADDED", item)

    def offer(self, change: Change) -> None:
        """Tell one change as this selection sees it: what leaves the selection is DELETED, what enters it ADDED."""
        was = change.before is not None and self._selection.matches(change.before)
        if change.after is not None and self._selection.matches(change.after):
            self._tell("MODIFIED" if was else "ADDED", change.after)
        elif was and change.before is not None:
            # What it last was inside the selection, at the version at which it left.
            self._tell("DELETED", with_metadata(change.before, resourceVersion=str(change.version)))

    def bookmark(self, version: int, annotations: Json | None = None) -> None:
        """Tell how far the stream has come, if the client wants to know."""
        if self.bookmarks:
            metadata = {"resourceVersion": str(version), "creationTimestamp": None}
            self._tell("BOOKMARK", {**self._kind, "metadata": metadata | {"annotations": annotations or {}}})

    def expire(self, asked: int, oldest: int) -> None:
        """Tell that the history does not reach back to where the client wants to begin, and end."""
        refusal = expired(f"too old resource version: {asked} ({oldest})")
        self._waiting.append({"type": "ERROR", "object": refusal.body})
        self.is_over = True

    def _tell(self, kind: str, item: Json) -> None:
        self._waiting.append({"type": kind, "object": self._view(item)})
        self.wake()

    def take(self) -> list[Json]:
        """Everything that is waiting, oldest first."""
        events = list(self._waiting)
        self._waiting.clear()
        return events
