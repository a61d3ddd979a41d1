"""One bug of each row of the transition table, without it and with another end: made from the table itself."""

import ast
from collections.abc import Iterator

from fsm import table
from fsm.states import State
from fsm.table import TRANSITIONS, Transition
from tests.mutants.mutant import Edit, Mutant

FILE = "fsm/table.py"


def mutants() -> Iterator[Mutant]:
    """Two of each row."""
    for row, text in zip(TRANSITIONS, _texts(), strict=True):
        name, other = row.trigger.value, _other(row)
        told = f"no session can move on `{name}`"
        yield Mutant(f"row {name} dropped", told, (Edit(FILE, f"    {text},\n", ""),))
        end = f"State.{row.dest.name})"
        told = f"`{name}` leads to {other.value} instead of {row.dest.value}"
        yield Mutant(f"row {name} redirected", told, (Edit(FILE, text, text.replace(end, f"State.{other.name})")),))


def _texts() -> list[str]:
    """The rows as they are written."""
    source = table.__loader__.get_source(table.__name__)  # type: ignore[union-attr]  # it came from a file
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Assign([ast.Name("TRANSITIONS")], ast.Tuple(rows)):
                return [str(ast.get_source_segment(source, row)) for row in rows]
    raise AssertionError("fsm/table.py has no TRANSITIONS any more")


def _other(row: Transition) -> State:
    """The state beside the right one, further on if there is one that is no source of the row."""
    order = list(State)
    place = order.index(row.dest)
    nearest = sorted(order, key=lambda state: (abs(order.index(state) - place), -order.index(state)))
    return next(state for state in nearest if state is not row.dest and (state,) != row.sources)
