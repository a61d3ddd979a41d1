"""The control plane itself: what the other tests of this folder take for granted."""

import json
from typing import Any

import pytest

from tests.cluster.conftest import CHAIN, make_middleware
from tests.controlplane import ControlPlane, KubectlError, Proxy, traefik, wait_for

WATCH_LIST = "/api/v1/namespaces?watch=1&timeoutSeconds=1&allowWatchBookmarks=true" + (
    "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
)


def make_route(namespace: str, name: str, **route: Any) -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": name}
    spec = {"entryPoints": ["web"], "routes": [{"kind": "Rule", **route}]}
    return {"apiVersion": "traefik.io/v1alpha1", "kind": "IngressRoute", "metadata": metadata, "spec": spec}


def make_session_routes(namespace: str, host: str) -> list[dict[str, Any]]:
    """The two routes of one session, as the operator is to make them."""
    sign_in = {"name": "oauth2-proxy-users", "namespace": "oauth2-proxy", "port": 80}
    router = {"name": "opencode-router", "namespace": namespace, "port": 80}
    chain = {"name": CHAIN, "namespace": namespace}
    return [
        make_route(namespace, "signin", match=f"Host(`{host}`) && PathPrefix(`/oauth2/`)", services=[sign_in]),
        make_route(namespace, "app", match=f"Host(`{host}`)", priority=1, services=[router], middlewares=[chain]),
    ]


@pytest.fixture
def host(namespace: str) -> str:
    return f"{namespace}-oc.no-panic.org"


def test_routes_made_with_kubectl_are_answered_through_traefik(
    cluster: ControlPlane, proxy: Proxy, router_namespace: str, host: str, sign_in_service: str
) -> None:
    cluster.apply(*make_session_routes(router_namespace, host))
    app, sign_in = proxy.reach(host, "/session?tab=1"), proxy.reach(host, "/oauth2/start")
    assert (app.service, app.path) == (f"opencode-router.{router_namespace}.svc:80", "/session?tab=1")
    assert (app.headers["Host"], app.headers["X-Chain"]) == (host, "passed")
    assert (sign_in.service, sign_in.headers["Host"]) == (sign_in_service, host)
    assert "X-Chain" not in sign_in.headers


def test_a_deleted_route_is_not_answered(cluster: ControlPlane, proxy: Proxy, router_namespace: str, host: str) -> None:
    cluster.apply(*make_session_routes(router_namespace, host))
    proxy.reach(host)
    cluster.kubectl("delete", "ingressroutes", "--all", "--namespace", router_namespace)
    wait_for(lambda: proxy.get(host).status == 404, what="Traefik forgets the routes")


@pytest.mark.usefixtures("sign_in_service")
def test_without_allow_cross_namespace_signing_in_ends_in_a_loop(
    cluster: ControlPlane, router_namespace: str, host: str
) -> None:
    """The symptom in the README: the app answers `/oauth2/`, behind the chain that sends people to `/oauth2/`."""
    with traefik(cluster, cross_namespace=False) as proxy:
        cluster.apply(*make_session_routes(router_namespace, host))
        answer = proxy.reach(host, "/oauth2/start")
        log = proxy.log.read_text()
    assert answer.service == f"opencode-router.{router_namespace}.svc:80"
    assert answer.headers["X-Chain"] == "passed"
    assert "not in the parent resource namespace" in log


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client side", "server side"])
@pytest.mark.parametrize("kind", ["IngressRoute", "Middleware"])
def test_a_field_that_traefik_does_not_know_is_refused(
    cluster: ControlPlane, namespace: str, kind: str, how: tuple[str, ...]
) -> None:
    objects = {
        "IngressRoute": make_route(namespace, "app", match="Host(`a`)", servces=[]),
        "Middleware": make_middleware(namespace, "chain", {"chain": {"servces": []}}),
    }
    done = cluster.kubectl("apply", *how, "--filename", "-", stdin=json.dumps(objects[kind]), check=False)
    assert done.returncode == 1
    assert "servces" in done.stderr


def test_a_killed_api_server_comes_back_with_its_data(cluster: ControlPlane, namespace: str) -> None:
    cluster.kubectl("create", "configmap", "kept", "--from-literal=a=1", "--namespace", namespace)
    cluster.kill_apiserver()
    try:
        down = cluster.kubectl("get", "namespaces", check=False)
    finally:
        cluster.start_apiserver()
    assert "refused" in down.stderr
    kept = cluster.kubectl("get", "configmap", "kept", "--namespace", namespace, "--output=jsonpath={.data}")
    assert json.loads(kept.stdout) == {"a": "1"}


def test_a_killed_etcd_comes_back_with_its_data(cluster: ControlPlane, namespace: str) -> None:
    cluster.restart_etcd()
    # the API server needs a moment to find it again
    wait_for(
        lambda: cluster.kubectl("get", "namespace", namespace, check=False).returncode == 0, what="the data is there"
    )


def test_a_paused_api_server_says_nothing_and_then_goes_on(cluster: ControlPlane) -> None:
    with cluster.pause_apiserver():
        silent = cluster.kubectl("get", "namespaces", "--request-timeout=500ms", check=False)
    assert silent.returncode == 1
    assert "refused" not in silent.stderr
    assert "kube-system" in cluster.kubectl("get", "namespaces").stdout


def test_a_service_account_has_the_rights_of_its_role_and_no_others(cluster: ControlPlane, namespace: str) -> None:
    inside = ("--namespace", namespace)
    cluster.kubectl("create", "serviceaccount", "operator", *inside)
    cluster.kubectl("create", "role", "reader", "--verb=list", "--resource=pods", *inside)
    cluster.kubectl(
        "create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace}:operator", *inside
    )
    token = cluster.service_account_token(namespace, "operator")
    cluster.kubectl("get", "pods", *inside, token=token)
    with pytest.raises(
        KubectlError, match=rf"serviceaccount:{namespace}:operator.*cannot list resource \"configmaps\""
    ):
        cluster.kubectl("get", "configmaps", *inside, token=token)


def test_the_namespace_refuses_a_pod_that_is_not_restricted(cluster: ControlPlane, namespace: str) -> None:
    with pytest.raises(KubectlError, match='violates PodSecurity "restricted'):
        cluster.kubectl("run", "root", "--image=none", "--namespace", namespace, "--dry-run=server")


def test_a_watch_brings_the_present_state_first(cluster: ControlPlane) -> None:
    assert "k8s.io/initial-events-end" in cluster.kubectl("get", "--raw", WATCH_LIST).stdout


def test_an_older_server_refuses_that_watch(cluster_without_watchlist: ControlPlane) -> None:
    done = cluster_without_watchlist.kubectl("get", "--raw", WATCH_LIST, check=False)
    assert done.returncode == 1
    assert "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled" in done.stderr
