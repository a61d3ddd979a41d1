"""The live table of the demo: a row a session, a column a state, with the seconds at which it was reached.

`story` feeds it with every change of a session's annotations. On a terminal the table is drawn in place; elsewhere it
is printed once it is complete.
"""

import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from typing import TextIO

from fsm.states import State

_UP = "\x1b[{}A"
_CLEAR = "\x1b[2K"


class Board:
    """What was reached when, by session; only of the sessions that the present part of the story is about."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._begun = time.monotonic()
        self._reached: dict[str, dict[str, float]] = {}
        self._notes: dict[str, str] = {}
        self._drawn = 0
        # In a narrower terminal the rows would wrap, and drawing over them would make a mess.
        self._is_live = out.isatty() and shutil.get_terminal_size().columns > _TOTAL

    def heading(self, text: str, sessions: Iterable[str] = ()) -> None:
        """A new part of the story, about these sessions, below whatever was drawn."""
        self._drawn = 0
        self._reached = {session: {} for session in sessions}
        self._notes.clear()
        self._begun = time.monotonic()
        self._out.write(f"\n{text}\n")
        self._out.flush()

    def saw(self, session: str, state: str, note: str = "") -> None:
        """A session's state and last error, maybe new ones."""
        reached = self._reached.get(session)
        if reached is None or state not in _COLUMNS:
            return
        if state not in reached:
            reached[state] = time.monotonic() - self._begun
        self._notes[session] = note
        if self._is_live:
            self._draw()

    def line(self, text: str) -> None:
        """A sentence below the table."""
        self._drawn = 0
        self._out.write(f"  {text}\n")
        self._out.flush()

    def close(self) -> None:
        """The part is over: where the table is not drawn in place, it is printed now."""
        if not self._is_live:
            self._draw()
        self._drawn = 0

    def _draw(self) -> None:
        rows = [self._row("session", dict(zip(_COLUMNS, _COLUMNS, strict=True)), "")]
        rows += [self._row(session, self._cells(session), self._notes.get(session, "")) for session in self._reached]
        if self._drawn:
            self._out.write(_UP.format(self._drawn))
        clear = _CLEAR if self._is_live else ""
        self._out.writelines(f"{clear}{row}\n" for row in rows)
        self._out.flush()
        self._drawn = len(rows)

    def _cells(self, session: str) -> dict[str, str]:
        return {state: f"{seconds:.1f} s" for state, seconds in self._reached[session].items()}

    def _row(self, session: str, cells: Mapping[str, str], note: str) -> str:
        columns = "".join(cells.get(column, "·").ljust(_width(column)) for column in _COLUMNS)
        room = max(0, shutil.get_terminal_size().columns - _TOTAL - 1)
        return f"  {session:14}{columns}{note[:room]}".rstrip()


def _width(column: str) -> int:
    return max(len(column), len("999.9 s")) + 2


_COLUMNS = (*(state.value for state in State), "gone")
_TOTAL = 16 + sum(_width(column) for column in _COLUMNS)  # characters of a row without its note
