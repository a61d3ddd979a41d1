"""What routers, kubelets and people do to session Pods on a real API server."""

from collections.abc import Mapping

import pytest

from fsm.session import HASH_LABEL, PREFIX, hash_of_hostname
from sandbox.stage import FOREIGN_TUNNEL
from tests.cluster.manifests import Json, hostname, new_hash, pod_name, session_pod
from tests.cluster.site import Site
from tests.cluster.watched import watched
from tests.controlplane import ControlPlane, wait_for


@pytest.fixture
def session(site: Site) -> str:
    """A session that is Ready."""
    site.start()
    return ready(site)


def ready(site: Site, **spec: object) -> str:
    session = new_hash()
    site.create(session, **spec)
    site.wait_until([session])
    return session


def annotate(site: Site, session: str, *texts: str) -> None:
    """A person edits our annotations (`key=text`) or wipes one (`key-`)."""
    site.kubectl("annotate", "pod", pod_name(session), "--overwrite", *(PREFIX + text for text in texts))


def foreign(site: Site) -> Json:
    """Everything in Cloudflare that is no session's."""
    records = [record for record in site.cloudflare.records() if not hash_of_hostname(str(record["name"]))]
    config = site.cloudflare.ask(lambda board: dict(board.world.tunnel.config or {}))
    ingress = [rule for rule in config["ingress"] if rule in FOREIGN_TUNNEL["ingress"]]
    return {"records": records, "config": config | {"ingress": ingress}}


def test_a_pod_on_a_node_shows_that_it_is_torn_down_before_it_is_gone(site: Site) -> None:
    site.start()
    session = ready(site, nodeName="node-1", terminationGracePeriodSeconds=300)
    with watched(site, session) as pod:
        site.kubectl("delete", "pod", pod_name(session), "--wait=false")
        site.wait_until_clean()
        wait_for(lambda: site.records()[session]["state"] == "TearingDown", what="the annotations say so")
        site.kubectl("delete", "pod", pod_name(session), "--grace-period=0", "--force")  # the kubelet
        wait_for(pod.is_gone, what="the Pod is gone")
        assert pod.states() == ["Ready", "TearingDown"]


def test_a_user_who_comes_back_while_the_old_pod_still_goes_gets_the_hostname_again(site: Site) -> None:
    site.start()
    session = ready(site, nodeName="node-1", terminationGracePeriodSeconds=300)
    site.kubectl("delete", "pod", pod_name(session), "--wait=false")
    site.wait_until_clean()
    successor = session_pod(site.namespace, session)
    successor["metadata"]["name"] += "-2"
    site.cluster.apply(successor)
    wait_for(lambda: len(site.left()) == 4, what="record, rule and routes are there again")
    wait_for(lambda: "Ready" in site.kubectl("describe", "pod", f"{pod_name(session)}-2"), what="the new Pod is Ready")
    site.kubectl("delete", "pod", pod_name(session), "--grace-period=0", "--force")
    site.kubectl("delete", "pod", f"{pod_name(session)}-2")
    site.wait_until_clean()


def test_an_evicted_pod_goes_at_once(site: Site, session: str) -> None:
    site.evict(session)
    path = f"/api/v1/namespaces/{site.namespace}/pods/{pod_name(session)}"
    assert site.get(path) == {}  # nothing holds it
    site.wait_until_clean()


def test_a_pod_that_leaves_the_selection_loses_nothing(site: Site, session: str) -> None:
    """A watch says DELETED for it; the live read by hash knows better."""
    before = site.left()
    site.kubectl("label", "pod", pod_name(session), "app.kubernetes.io/managed-by-")
    other = ready(site)
    site.delete(other)
    wait_for(lambda: not any(other in name for name in site.left()), what="the other session is gone")
    assert site.left() == before
    site.kubectl("delete", "pod", pod_name(session))
    site.wait_until_clean()


def rest(record: Mapping[str, str]) -> dict[str, str]:
    """A record without what grows by itself."""
    return {key: text for key, text in record.items() if key not in ("since", "revision")}


EDITS = {
    "state=Splendid": "state",
    "state-": "state",
    "version=2": "version",
    "pod-uid=60e80e8b-3084-4555-9abf-5dba2458a688": "pod-uid",
    "attempts=many": "attempts",
}


def test_records_that_a_person_edited_are_worked_out_again_and_that_is_told(site: Site) -> None:
    site.start()
    sessions = {edit: new_hash() for edit in EDITS}
    site.create(*sessions.values())
    site.wait_until(list(sessions.values()))
    wanted = {session: rest(record) for session, record in site.records().items()}
    for edit, session in sessions.items():
        annotate(site, session, edit)
        said = f"the annotation {EDITS[edit]} could not be read; the session was worked out again"
        wanted[session]["last-error"] = f"RecordUnreadable: {said}"
    wait_for(
        lambda: {session: rest(record) for session, record in site.records().items()} == wanted,
        what="all are Ready again and say what it was",
    )


def test_a_record_that_a_person_wiped_is_written_again(site: Site, session: str) -> None:
    before = site.records()[session]
    annotate(site, session, *(f"{key}-" for key in before))
    site.wait_until([session])
    assert rest(site.records()[session]) == rest(before)


LIES = (
    "hostname=grafana.example.org",
    "service=https://grafana.monitoring:3000",
    "retry-at=9999-12-31T23:59:59Z",
    "attempts=999999999",
)


def test_records_that_lie_do_no_harm(site: Site) -> None:
    site.start()
    sessions = {lie: new_hash() for lie in LIES}
    site.create(*sessions.values())
    site.wait_until(list(sessions.values()))
    before = foreign(site)
    for lie, session in sessions.items():
        annotate(site, session, lie)
        site.kubectl("delete", "ingressroute", f"{pod_name(session)}-oc-app")  # something to do
    wait_for(
        lambda: all(site.records()[session]["hostname"] == hostname(session) for session in sessions.values()),
        what="the hostnames are right again",
    )
    site.delete(*sessions.values())
    site.wait_until_clean()
    assert foreign(site) == before


def test_a_pod_with_a_bad_hash_is_told_and_left_alone(site: Site, session: str) -> None:
    bad = session_pod(site.namespace, "0123456789ab")
    bad["metadata"]["labels"][HASH_LABEL] = "NOT-A-HASH"
    site.cluster.apply(bad)
    wait_for(
        lambda: " InvalidSessionHash " in site.kubectl("describe", "pod", pod_name("0123456789ab")),
        what="the Event is there",
    )
    assert len(site.left()) == 4


def test_in_a_namespace_that_is_being_deleted_sessions_are_still_removed(site: Site, session: str) -> None:
    site.cluster.kubectl("delete", "namespace", site.namespace, "--wait=false")
    site.kubectl("delete", "pods", "--all")  # the namespace controller
    site.wait_until_clean()
    assert site.operators[0].health()["role"] == "leader"


def test_without_traefiks_kinds_a_session_waits_and_says_what_is_missing(
    cluster_without_watchlist: ControlPlane, site_without_watchlist: Site
) -> None:
    site = site_without_watchlist
    operator = site.start()
    cluster_without_watchlist.kubectl("delete", "crd", "ingressroutes.traefik.io")
    session = new_hash()
    try:
        site.create(session)
        wait_for(lambda: "RouteKindMissing" in site.records().get(session, {}).get("last-error", ""), what="it is told")
        wait_for(lambda: "Install Traefik's CRDs" in operator.problems(), what="/healthz says so")
    finally:
        cluster_without_watchlist.install_kinds()
    site.wait_until([session])
