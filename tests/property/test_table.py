"""Any way through the table, and any number of sessions on the one shared machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.states import State, Trigger
from fsm.table import JOURNEY, TRANSITIONS, IllegalTransitionError, next_state

ROWS = {(source, row.trigger): row.dest for row in TRANSITIONS for source in row.sources}


def reachable(start: State) -> set[State]:
    found = {start}
    while more := {dest for (source, _), dest in ROWS.items() if source in found} - found:
        found |= more
    return found


@pytest.mark.parametrize("state", State)
def test_every_state_leads_to_every_other(state: State) -> None:
    assert reachable(state) == set(State)


@pytest.mark.parametrize("state", JOURNEY)
def test_teardown_is_one_move_away_from_everywhere(state: State) -> None:
    assert next_state(state, Trigger.DELETED) is State.TEARING_DOWN


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(Trigger)), max_size=60))
def test_sessions_on_the_shared_machine_know_nothing_of_each_other(moves: list[tuple[int, Trigger]]) -> None:
    states = [State.PENDING] * 5
    for session, trigger in moves:
        wanted = ROWS.get((states[session], trigger))
        others = states[:session] + states[session + 1 :]
        if wanted is None:
            with pytest.raises(IllegalTransitionError):
                next_state(states[session], trigger)
        else:
            states[session] = next_state(states[session], trigger)
            assert states[session] is wanted
        assert others == states[:session] + states[session + 1 :]


@given(st.lists(st.sampled_from(Trigger), max_size=40))
def test_ready_is_only_reached_over_the_whole_journey(triggers: list[Trigger]) -> None:
    state, passed = State.PENDING, [State.PENDING]
    for trigger in triggers:
        if (state, trigger) in ROWS:
            state = next_state(state, trigger)
            passed = [state] if state is State.PENDING else [*passed, state]
    if state is State.READY:
        assert set(passed) >= set(JOURNEY)
