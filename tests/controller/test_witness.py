"""Who may be removed, and when that ends."""

from controller.witness import KEPT, Witness
from tests.builders import HASH, pod


def test_a_live_pod_refutes_what_was_seen_before_and_nothing_that_was_seen_since() -> None:
    clock = [0.0]
    witness = Witness(lambda: clock[0])
    witness.permit("a")
    witness.refute("a", began=0.0)
    assert witness.is_permitted("a")  # of the same moment: nobody knows which was first
    clock[0] = 5.0
    witness.permit("a")
    witness.refute("a", began=4.0)  # the list was sent before the Pod was seen to go
    assert witness.is_permitted("a")
    witness.refute("a", began=6.0)
    assert not witness.is_permitted("a")
    witness.refute("b", began=6.0)
    assert witness.sessions() == set()


def test_a_replica_that_does_not_lead_forgets_what_is_old() -> None:
    clock = [0.0]
    witness = Witness(lambda: clock[0])
    witness.permit("a")
    clock[0] = 10.0
    witness.permit("b")
    clock[0] = KEPT + 5.0
    witness.prune()
    assert witness.sessions() == {"b"}


def test_the_last_pod_is_known_as_long_as_its_removal_is_permitted() -> None:
    clock = [0.0]
    witness = Witness(lambda: clock[0])
    witness.saw_go(pod())
    assert witness.is_permitted(HASH)
    assert witness.last_of(HASH) == pod()
    clock[0] = KEPT + 1.0
    witness.prune()
    assert witness.last_of(HASH) is None
