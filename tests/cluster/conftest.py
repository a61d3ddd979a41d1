"""What stands around the operator in production: Traefik, the sign-in service, a namespace with the router in it."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.site import Site, Weight
from tests.cluster.site import site as running_site
from tests.controlplane import ControlPlane, Proxy, traefik
from tests.controlplane.services import external_service

Weights = dict[str, Weight]
WEIGHTS = pytest.StashKey[Weights]()

HERE = Path(__file__).parent
CHAIN = "opencode-router-oauth2-chain"
SIGN_IN_SERVICE = "oauth2-proxy-users.oauth2-proxy.svc:80"


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("cluster")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[WEIGHTS] = {}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for when, weight in config.stash[WEIGHTS].items():
        terminalreporter.line(f"memory of the operator, {when}: {weight.now:.0f} MiB, at most {weight.most:.0f} MiB")


@pytest.fixture
def weights(request: pytest.FixtureRequest) -> Weights:
    """What is to be told after the run: when, and what the operator weighed then."""
    return request.config.stash[WEIGHTS]


@pytest.fixture(scope="session")
def sign_in_service(cluster: ControlPlane) -> str:
    """The Service that the sign-in routes of all namespaces point at, as an `Answer` names it."""
    cluster.kubectl("create", "namespace", "oauth2-proxy")
    cluster.apply(external_service("oauth2-proxy", "oauth2-proxy-users"))
    return SIGN_IN_SERVICE


@pytest.fixture(scope="session")
def proxy(cluster: ControlPlane, sign_in_service: str) -> Iterator[Proxy]:
    """Traefik, set up as the README asks for it."""
    with traefik(cluster, cross_namespace=True) as running:
        yield running


@pytest.fixture
def router_namespace(cluster: ControlPlane, namespace: str) -> str:
    """A namespace with the router's Service `opencode-router` and its middleware chain.

    A request that has passed the chain has the header `X-Chain: passed`.
    """
    cluster.apply(
        external_service(namespace, "opencode-router"),
        make_middleware(namespace, CHAIN, {"chain": {"middlewares": [{"name": "mark"}]}}),
        make_middleware(namespace, "mark", {"headers": {"customRequestHeaders": {"X-Chain": "passed"}}}),
    )
    return namespace


@pytest.fixture
def site(cluster: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Site]:
    """A site whose tunnel rules lead to a Traefik that nobody asks."""
    with running_site(cluster, namespace, tmp_path, router="http://traefik.traefik.svc.cluster.local:80") as here:
        yield here


@pytest.fixture
def site_without_watchlist(cluster_without_watchlist: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    """The same on a server that does not stream lists."""
    namespace = f"test-{secrets.token_hex(4)}"
    cluster_without_watchlist.kubectl("create", "namespace", namespace)
    with running_site(cluster_without_watchlist, namespace, tmp_path, router="http://traefik:80") as here:
        yield here


def make_middleware(namespace: str, name: str, spec: dict[str, object]) -> dict[str, object]:
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "traefik.io/v1alpha1", "kind": "Middleware", "metadata": metadata, "spec": spec}
