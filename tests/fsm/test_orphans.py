"""The sweep's plan: two looks, a grace, and a brake."""

import pytest

from fsm.orphans import BRAKE_ABOVE, SweepPlan, plan

GRACE = 120.0
NOTHING: frozenset[str] = frozenset()


def hashes(count: int, first: int = 0) -> frozenset[str]:
    return frozenset(f"{number:012x}" for number in range(first, first + count))


def swept(
    owned: frozenset[str],
    accounted: frozenset[str] = NOTHING,
    suspects: dict[str, float] | None = None,
    *,
    now: float = 1000.0,
    force: bool = False,
) -> SweepPlan:
    return plan(owned, accounted, suspects or {}, now=now, grace=GRACE, force=force)


def since(sessions: frozenset[str], time: float) -> dict[str, float]:
    return dict.fromkeys(sessions, time)


def test_where_nothing_is_missed_nothing_happens() -> None:
    assert swept(hashes(10), hashes(10)) == SweepPlan()
    assert swept(NOTHING, hashes(10)) == SweepPlan()


def test_the_first_look_only_makes_a_suspect() -> None:
    orphan = hashes(1)
    assert swept(orphan) == SweepPlan(suspects=since(orphan, 1000.0))


@pytest.mark.parametrize(("waited", "due"), [(0.0, False), (119.9, False), (120.0, False), (120.1, True)])
def test_the_second_look_releases_after_the_grace(waited: float, due: bool) -> None:
    orphan = hashes(1)
    found = swept(orphan, suspects=since(orphan, 1000.0 - waited))
    assert found.due == (orphan if due else NOTHING)
    assert found.suspects == since(orphan, 1000.0 - waited)


def test_without_a_grace_it_is_still_two_looks() -> None:
    orphan = hashes(1)
    assert plan(orphan, NOTHING, {}, now=1.0, grace=0.0).due == NOTHING
    assert plan(orphan, NOTHING, since(orphan, 1.0), now=2.0, grace=0.0).due == orphan


def test_a_suspect_that_was_seen_again_starts_from_the_beginning() -> None:
    orphan = hashes(1)
    alive = swept(orphan, orphan, since(orphan, 0.0))
    assert alive.suspects == {}
    assert swept(orphan, suspects=dict(alive.suspects), now=2000.0).due == NOTHING


def test_a_suspect_of_which_nothing_is_left_is_forgotten() -> None:
    assert swept(NOTHING, suspects=since(hashes(3), 0.0)) == SweepPlan()


@pytest.mark.parametrize("count", [1, BRAKE_ABOVE])
def test_a_few_are_believed_even_if_it_is_everything(count: int) -> None:
    assert swept(hashes(count), suspects=since(hashes(count), 0.0)).due == hashes(count)


@pytest.mark.parametrize(
    ("owned", "missed", "held"), [(12, 6, False), (11, 6, True), (6, 6, True), (100, 50, False), (100, 51, True)]
)
def test_more_than_half_and_more_than_five_is_held(owned: int, missed: int, held: bool) -> None:
    orphans = hashes(missed)
    found = swept(hashes(owned), hashes(owned) - orphans, since(orphans, 0.0))
    assert (found.due, found.held) == ((NOTHING, orphans) if held else (orphans, NOTHING))
    assert found.suspects == since(orphans, 0.0)


def test_the_brake_looks_at_all_that_is_missed_not_only_at_what_is_due() -> None:
    ripe, young = hashes(2), hashes(8, first=2)
    found = swept(ripe | young, suspects=since(ripe, 0.0))
    assert (found.due, found.held) == (NOTHING, ripe | young)


def test_a_removal_that_somebody_witnessed_does_not_count() -> None:
    witnessed, orphans = hashes(90), hashes(5, first=90)
    assert swept(witnessed | orphans, witnessed, since(orphans, 0.0)).due == orphans


def test_one_bad_list_after_another_does_not_empty_the_world_in_slices() -> None:
    owned, accounted, suspects, removed, now = set(hashes(100)), hashes(100), dict[str, float](), 0, 1000.0
    for lost in range(0, 101, 10):
        for _ in range(2):
            found = plan(owned, accounted - hashes(lost), suspects, now=now, grace=GRACE)
            suspects, now = dict(found.suspects), now + GRACE + 1
            removed += len(found.due)
            owned -= found.due
    assert removed < 100
    assert found.held


def test_a_person_takes_brake_and_grace_away_but_not_the_pods() -> None:
    found = swept(hashes(100), hashes(3), force=True)
    assert (found.due, found.held) == (hashes(97, first=3), NOTHING)
