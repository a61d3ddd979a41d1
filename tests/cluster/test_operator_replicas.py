"""Two replicas on a real Lease: one leads, the other one finishes what it began."""

from tests.cluster.manifests import new_hash
from tests.cluster.site import Operator, Site
from tests.controlplane import wait_for


def start_two(site: Site) -> Operator:
    """Two operators; the one that leads."""
    for name in ("opencode-router-0", "opencode-router-1"):
        site.start(name)
    return wait_for(site.leader, what="somebody leads")


def test_when_the_leader_is_killed_in_the_middle_the_other_one_finishes(site: Site) -> None:
    leader = start_two(site)
    sessions = [new_hash() for _ in range(30)]
    site.cloudflare.break_with({"match": {"method": "PUT"}, "latency": 0.5})
    site.create(*sessions)
    wait_for(lambda: len(site.cloudflare.records()) > 10, what="the leader is in the middle")
    leader.program.kill()
    site.wait_until(sessions)
    heir = site.leader()
    assert heir is not None
    assert heir is not leader
    site.kubectl("delete", "pods", "--wait=false", "--selector=opencode.ai/session-hash")
    site.wait_until_clean()


def test_a_leader_that_is_told_to_stop_hands_over_at_once(site: Site) -> None:
    leader = start_two(site)
    (other,) = (operator for operator in site.operators if operator is not leader)
    assert other.health()["role"] == "standby"
    assert leader.program.terminate() == 0
    wait_for(lambda: other.health()["role"] == "leader", what="the other one leads", within=4)  # the lease lasts 5
    session = new_hash()
    site.create(session)
    site.wait_until([session])


def test_what_the_standby_saw_go_is_removed_when_it_leads(site: Site) -> None:
    leader = start_two(site)
    sessions = [new_hash() for _ in range(12)]  # too many for the sweep to believe
    site.create(*sessions)
    site.wait_until(sessions)
    leader.program.kill()
    site.kubectl("delete", "pods", "--wait=false", "--selector=opencode.ai/session-hash")
    site.wait_until_clean()
