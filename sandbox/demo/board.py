"""The live table of the demo: a row a session, a column a state, with the seconds at which it was reached.

`story` feeds it with the annotations as they change. On a terminal the table is drawn in place; elsewhere a line is
printed for each change, and the table once it is complete.
"""

import sys
import time
from collections.abc import Mapping
from typing import TextIO

from fsm.states import State

_UP = "\x1b[{}A"
_CLEAR = "\x1b[2K"
_SHOWN = tuple(state.value for state in State)
_WIDTH = 16


class Board:
    """What was reached when, by session."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._begun = time.monotonic()
        self._reached: dict[str, dict[str, float]] = {}
        self._notes: dict[str, str] = {}
        self._drawn = 0

    def saw(self, session: str, annotations: Mapping[str, str]) -> None:
        """A session's annotations (of ours, without the prefix), maybe new ones."""
        state = annotations.get("state", "")
        note = annotations.get("last-error", "")
        reached = self._reached.setdefault(session, {})
        if state in _SHOWN and state not in reached:
            self._tell(session, state)
        self._notes[session] = note

    def gone(self, session: str) -> None:
        """Nothing of the session is left."""
        if "gone" not in self._reached.setdefault(session, {}):
            self._tell(session, "gone")

    def heading(self, text: str) -> None:
        """A new part of the story, below whatever was drawn."""
        self._drawn = 0
        self._reached.clear()
        self._notes.clear()
        self._begun = time.monotonic()
        self._out.write(f"\n{text}\n")
        self._out.flush()

    def line(self, text: str) -> None:
        """A sentence below the table."""
        self._drawn = 0
        self._out.write(f"  {text}\n")
        self._out.flush()

    def draw(self) -> None:
        """Draw the table in place; without a terminal the lines were printed as they came."""
        if not self._out.isatty():
            return
        rows = [self._row("session", dict(zip(_COLUMNS, _COLUMNS, strict=True)), "")]
        rows += [self._row(session, self._cells(session), self._notes.get(session, "")) for session in self._reached]
        if self._drawn:
            self._out.write(_UP.format(self._drawn))
        self._out.writelines(f"{_CLEAR}{row}\n" for row in rows)
        self._out.flush()
        self._drawn = len(rows)

    def _tell(self, session: str, state: str) -> None:
        seconds = time.monotonic() - self._begun
        self._reached[session][state] = seconds
        if not self._out.isatty():
            self._out.write(f"  {seconds:5.1f} s  {session}  {state}\n")
            self._out.flush()

    def _cells(self, session: str) -> dict[str, str]:
        return {state: f"{seconds:.1f} s" for state, seconds in self._reached[session].items()}

    def _row(self, session: str, cells: Mapping[str, str], note: str) -> str:
        columns = "".join(cells.get(column, "·").ljust(_WIDTH) for column in _COLUMNS)
        return f"  {session:14}{columns}{note[:40]}".rstrip()


_COLUMNS = (*_SHOWN, "gone")
