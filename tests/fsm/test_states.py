"""The vocabulary is closed and tells its words apart."""

from fsm.states import State, Trigger


def test_no_two_states_and_no_two_triggers_share_a_text() -> None:
    assert len({state.value for state in State}) == len(State) == 6
    assert len({trigger.value for trigger in Trigger}) == len(Trigger) == 10


def test_a_trigger_is_called_like_its_constant() -> None:
    assert all(trigger.value == trigger.name.lower() for trigger in Trigger)
