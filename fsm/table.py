"""The machine: every transition there is, as data, and the one function that applies it.

Rules of the game: this table is the only place with transitions; an illegal trigger raises and changes
nothing. Callers are `fsm.record` (which advances a session) and the diagram in the README, which is drawn
from here. The `transitions` Machine is shared, synchronous and without callbacks: its asyncio variant
swallows cancellation, and a callback that raises leaves the state already changed.
"""

from dataclasses import dataclass

from transitions import Machine, MachineError

from fsm.states import State, Trigger

# Every state a session with a live Pod can be in, in the order of the journey.
JOURNEY = (State.PENDING, State.DNS_CREATED, State.TUNNEL_RULE_ADDED, State.ROUTES_CREATED, State.READY)


@dataclass(frozen=True)
class Transition:
    """One row: `trigger` moves a session from any of `sources` to `dest`."""

    trigger: Trigger
    sources: tuple[State, ...]
    dest: State


TRANSITIONS = (
    # Forward: one step at a time, each on evidence.
    Transition(Trigger.RECORD_EXISTS, (State.PENDING,), State.DNS_CREATED),
    Transition(Trigger.RULE_EXISTS, (State.DNS_CREATED,), State.TUNNEL_RULE_ADDED),
    Transition(Trigger.ROUTES_EXIST, (State.TUNNEL_RULE_ADDED,), State.ROUTES_CREATED),
    Transition(Trigger.VERIFIED, (State.ROUTES_CREATED,), State.READY),
    # Drift: back to the state before the missing piece.
    Transition(Trigger.RECORD_LOST, JOURNEY[1:], State.PENDING),
    Transition(Trigger.RULE_LOST, JOURNEY[2:], State.DNS_CREATED),
    Transition(Trigger.ROUTES_LOST, JOURNEY[3:], State.TUNNEL_RULE_ADDED),
    # The session's hostname changed (domain or suffix): the old objects go first.
    Transition(Trigger.RENAMED, JOURNEY[1:], State.PENDING),
    # The end, and the way back when the user returns before it is over.
    Transition(Trigger.DELETED, JOURNEY, State.TEARING_DOWN),
    Transition(Trigger.REVIVED, (State.TEARING_DOWN,), State.PENDING),
)


class IllegalTransitionError(Exception):
    """A trigger that the table does not allow in this state: a bug in the caller, nothing has changed."""


class _Cursor:
    """The unregistered model of one move: `transitions` only reads and writes `state`."""

    __slots__ = ("state",)

    def __init__(self, state: State) -> None:
        self.state = state


def _rows(table: tuple[Transition, ...]) -> list[dict[str, object]]:
    return [{"trigger": row.trigger.value, "source": list(row.sources), "dest": row.dest} for row in table]


def build(table: tuple[Transition, ...]) -> Machine:
    """The shared Machine over `table`, without a model."""
    return Machine(model=None, states=State, transitions=_rows(table), initial=State.PENDING, auto_transitions=False)


_MACHINE = build(TRANSITIONS)


def next_state(state: State, trigger: Trigger) -> State:
    """Where `trigger` leads from `state`.

    Raises:
        IllegalTransitionError: the table has no such row.
    """
    cursor = _Cursor(state)
    try:
        _MACHINE.events[trigger.value].trigger(cursor)
    except MachineError as error:
        raise IllegalTransitionError(f"{trigger.value} is not allowed in {state.value}") from error
    return cursor.state


def diagram() -> str:
    """The table as a Mermaid state diagram, for the README."""
    moves: dict[tuple[State, State], list[str]] = {}
    for row in TRANSITIONS:
        for source in row.sources:
            moves.setdefault((source, row.dest), []).append(row.trigger.value)
    arrows = [f"{source.value} --> {dest.value}: {' | '.join(names)}" for (source, dest), names in moves.items()]
    return "\n    ".join(("stateDiagram-v2", f"[*] --> {State.PENDING.value}", *arrows)) + "\n"
