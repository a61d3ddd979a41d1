"""Which Pod speaks for a session, and which look proves anything."""

from itertools import permutations

import pytest

from fsm.observation import NEVER, PodFacts, Sight, Status, carrier_of
from tests.builders import FIRST_SEEN, missing, pod, present, seen, unknown

OLDER = pod("uid-1", created="2026-11-23T01:00:00Z", first_seen=1.0)
NEWER = pod("uid-0", created="2026-11-23T02:00:00Z", first_seen=2.0)
GOING = pod("uid-9", created="2026-11-23T03:00:00Z", deleting=True, first_seen=3.0)
GONE_BEFORE = pod("uid-8", created="2026-11-23T00:00:00Z", deleting=True, first_seen=0.5)
TWIN = pod("uid-2", created="2026-11-23T02:00:00Z", first_seen=4.0)


@pytest.mark.parametrize(
    ("pods", "carrier"),
    [
        ((OLDER, NEWER), NEWER),
        ((OLDER, GOING), OLDER),
        ((OLDER, NEWER, GOING, GONE_BEFORE), NEWER),
        ((GOING, GONE_BEFORE), GOING),
        ((NEWER, TWIN), TWIN),
    ],
)
def test_the_newest_live_pod_carries_the_record_else_the_newest_that_is_going(
    pods: tuple[PodFacts, ...], carrier: PodFacts
) -> None:
    for order in permutations(pods):
        observation = seen(*order)
        assert carrier_of(order) is observation.carrier is carrier
        assert observation.live is (None if carrier.deleting else carrier)
        assert observation.since == carrier.first_seen


def test_without_a_pod_nobody_carries_and_every_look_counts() -> None:
    observation = seen()
    assert (observation.carrier, observation.live, observation.since) == (None, None, NEVER)
    assert observation.is_fresh(missing(began=-1e9))


@pytest.mark.parametrize(
    ("sight", "fresh"),
    [
        (present(began=FIRST_SEEN), True),
        (present(began=FIRST_SEEN - 0.001), False),
        (missing(began=FIRST_SEEN), True),
        (unknown(), False),
        (Sight(Status.UNKNOWN, FIRST_SEEN + 1), False),
    ],
)
def test_a_look_proves_something_from_the_pods_first_moment_on(sight: Sight, fresh: bool) -> None:
    assert seen(pod()).is_fresh(sight) is fresh


def test_the_parts_are_in_the_order_of_the_journey() -> None:
    observation = seen(dns=present("a"), rules=present("b"), routes=present("c"))
    assert [sight.ours for sight in observation.parts] == [("a",), ("b",), ("c",)]


def test_a_pod_tells_nothing_of_other_peoples_annotations_by_its_hash() -> None:
    assert hash(pod(annotations={"a": "b"})) == hash(pod())
    assert pod(annotations={"a": "b"}) != pod()
