"""The main job, on a real control plane: a session's Pod gets its hostname, and loses it again."""

from pathlib import Path

from fsm.states import State
from tests.cluster.manifests import hostname, new_hash
from tests.cluster.site import Site, site
from tests.cluster.watched import watched
from tests.controlplane import ControlPlane, Proxy

JOURNEY = ["", *(state.value for state in State if state is not State.TEARING_DOWN)]


def test_a_pod_made_with_kubectl_gets_a_hostname_that_answers_and_loses_it_again(
    cluster: ControlPlane, router_namespace: str, proxy: Proxy, sign_in_service: str, tmp_path: Path
) -> None:
    session = new_hash()
    host = hostname(session)
    with site(cluster, router_namespace, tmp_path, router=proxy.url) as here, watched(here, session) as pod:
        here.start()
        assert here.edge.get(host).status == 530  # no record
        here.create(session)
        here.wait_until([session])
        app, sign_in = here.edge.reach(host, "/session?tab=1"), here.edge.reach(host, "/oauth2/start")
        assert (app.service, app.path) == (f"opencode-router.{router_namespace}.svc:80", "/session?tab=1")
        assert (app.headers["Host"], app.headers["X-Chain"]) == (host, "passed")
        assert (sign_in.service, "X-Chain" in sign_in.headers) == (sign_in_service, False)
        here.delete(session)
        here.wait_until_clean()
        assert here.edge.get(host).status == 530
        assert pod.states() == JOURNEY
        assert pod.errors() == []
        assert here.forbidden() == []


def test_the_same_on_a_server_that_does_not_stream_lists(site_without_watchlist: Site) -> None:
    here, session = site_without_watchlist, new_hash()
    here.start()
    with watched(here, session) as pod:
        here.create(session)
        here.wait_until([session])
        here.delete(session)
        here.wait_until_clean()
        assert pod.states() == JOURNEY
