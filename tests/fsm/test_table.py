"""The table: every move there is, and nothing else."""

from types import SimpleNamespace

import pytest
from transitions import MachineError

from fsm.states import State, Trigger
from fsm.table import JOURNEY, TRANSITIONS, IllegalTransitionError, build, diagram, next_state

PENDING, DNS, RULE, ROUTES, READY, TEARING_DOWN = State

# Written out by hand once more: a changed row has to be changed here, too, by somebody who means it.
MOVES = {
    (PENDING, Trigger.RECORD_EXISTS): DNS,
    (DNS, Trigger.RULE_EXISTS): RULE,
    (RULE, Trigger.ROUTES_EXIST): ROUTES,
    (ROUTES, Trigger.VERIFIED): READY,
    (DNS, Trigger.RECORD_LOST): PENDING,
    (RULE, Trigger.RECORD_LOST): PENDING,
    (ROUTES, Trigger.RECORD_LOST): PENDING,
    (READY, Trigger.RECORD_LOST): PENDING,
    (RULE, Trigger.RULE_LOST): DNS,
    (ROUTES, Trigger.RULE_LOST): DNS,
    (READY, Trigger.RULE_LOST): DNS,
    (ROUTES, Trigger.ROUTES_LOST): RULE,
    (READY, Trigger.ROUTES_LOST): RULE,
    (DNS, Trigger.RENAMED): PENDING,
    (RULE, Trigger.RENAMED): PENDING,
    (ROUTES, Trigger.RENAMED): PENDING,
    (READY, Trigger.RENAMED): PENDING,
    (PENDING, Trigger.DELETED): TEARING_DOWN,
    (DNS, Trigger.DELETED): TEARING_DOWN,
    (RULE, Trigger.DELETED): TEARING_DOWN,
    (ROUTES, Trigger.DELETED): TEARING_DOWN,
    (READY, Trigger.DELETED): TEARING_DOWN,
    (TEARING_DOWN, Trigger.REVIVED): PENDING,
}


@pytest.mark.parametrize("trigger", Trigger, ids=lambda trigger: trigger.value)
@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_each_trigger_leads_where_the_table_says_or_is_illegal(state: State, trigger: Trigger) -> None:
    wanted = MOVES.get((state, trigger))
    if wanted is not None:
        assert next_state(state, trigger) is wanted
        return
    with pytest.raises(IllegalTransitionError, match=f"^{trigger.value} is not allowed in {state.value}$"):
        next_state(state, trigger)


def test_the_rows_hold_nothing_twice() -> None:
    pairs = [(source, row.trigger) for row in TRANSITIONS for source in row.sources]
    assert sorted(pairs, key=str) == sorted(MOVES, key=str)


def test_the_texts_of_the_states_are_the_ones_that_annotations_hold() -> None:
    assert [state.value for state in State] == [
        "Pending",
        "DnsCreated",
        "TunnelRuleAdded",
        "RoutesCreated",
        "Ready",
        "TearingDown",
    ]


def test_the_journey_is_every_state_of_a_session_that_lives_in_order() -> None:
    assert JOURNEY == (PENDING, DNS, RULE, ROUTES, READY)


def test_an_illegal_trigger_does_not_say_so_in_the_words_of_the_library() -> None:
    with pytest.raises(IllegalTransitionError) as caught:
        next_state(READY, Trigger.REVIVED)
    assert not isinstance(caught.value, MachineError)


def test_the_machine_has_no_transitions_that_nobody_asked_for() -> None:
    assert set(build(TRANSITIONS).events) == {trigger.value for trigger in Trigger}


@pytest.mark.parametrize(("state", "trigger"), MOVES, ids=str)
def test_a_machine_that_is_built_now_makes_the_same_moves(state: State, trigger: Trigger) -> None:
    cursor = SimpleNamespace(state=state)
    build(TRANSITIONS).events[trigger.value].trigger(cursor)
    assert cursor.state is MOVES[state, trigger]


def test_the_diagram_draws_each_move_once() -> None:
    lines = diagram().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> Pending"]
    drawn = []
    for line in lines[2:]:
        arrow, _, names = line.strip().partition(": ")
        source, _, dest = arrow.partition(" --> ")
        drawn += [(State(source), Trigger(name), State(dest)) for name in names.split(" | ")]
    assert sorted(drawn, key=str) == sorted(((*pair, dest) for pair, dest in MOVES.items()), key=str)
