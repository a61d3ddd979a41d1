"""The sweep's plan for any look: no hash that is accounted for is released, and the brake holds."""

from hypothesis import given
from hypothesis import strategies as st

from fsm.orphans import BRAKE_ABOVE, plan

HASHES = [f"{number:012x}" for number in range(20)]
GRACE = 120.0

sessions = st.frozensets(st.sampled_from(HASHES))
times = st.floats(0.0, 1_000.0)
suspicions = st.dictionaries(st.sampled_from(HASHES), times)


@given(sessions, sessions, suspicions, times, st.booleans())
def test_what_is_due_is_ours_without_a_pod_and_missed_long_enough(
    owned: frozenset[str], accounted: frozenset[str], suspects: dict[str, float], now: float, force: bool
) -> None:
    found = plan(owned, accounted, suspects, now=now, grace=GRACE, force=force)
    assert found.due <= owned - accounted
    assert found.held <= owned - accounted
    assert not found.due & found.held
    assert force or all(session in suspects and now - suspects[session] > GRACE for session in found.due)


@given(sessions, sessions, suspicions, times)
def test_more_than_half_and_more_than_five_are_never_due(
    owned: frozenset[str], accounted: frozenset[str], suspects: dict[str, float], now: float
) -> None:
    missed = owned - accounted
    found = plan(owned, accounted, suspects, now=now, grace=GRACE)
    if len(missed) > BRAKE_ABOVE and len(missed) > len(owned) / 2:
        assert (found.due, found.held) == (frozenset(), missed)
    else:
        assert not found.held


@given(sessions, sessions, suspicions, times, st.booleans())
def test_suspects_are_exactly_the_missed_since_the_first_look_that_missed_them(
    owned: frozenset[str], accounted: frozenset[str], suspects: dict[str, float], now: float, force: bool
) -> None:
    found = plan(owned, accounted, suspects, now=now, grace=GRACE, force=force)
    assert set(found.suspects) == owned - accounted
    assert all(first == suspects.get(session, now) for session, first in found.suspects.items())


@given(sessions, sessions, suspicions, times)
def test_a_person_who_forces_gets_all_that_is_missed(
    owned: frozenset[str], accounted: frozenset[str], suspects: dict[str, float], now: float
) -> None:
    assert plan(owned, accounted, suspects, now=now, grace=GRACE, force=True).due == owned - accounted


@given(st.lists(sessions, min_size=1, max_size=8))
def test_a_hash_is_due_only_if_every_look_for_longer_than_the_grace_missed_it(looks: list[frozenset[str]]) -> None:
    suspects: dict[str, float] = {}
    missed_since: dict[str, float] = {}
    for number, accounted in enumerate(looks):
        now = 50.0 * number
        missed_since = {session: missed_since.get(session, now) for session in HASHES if session not in accounted}
        found = plan(frozenset(HASHES), accounted, suspects, now=now, grace=GRACE)
        suspects = dict(found.suspects)
        ripe = {session for session, first in missed_since.items() if now - first > GRACE}
        assert found.due == (set() if found.held else ripe)
