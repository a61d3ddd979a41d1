"""The fixtures of every test that needs a control plane, and the loud word when there is none to be had.

A test says that it needs one with the marker `cluster` (each test in tests/cluster has it by itself). If one of the
chosen tests does, the programs are looked for, and built, before the first test: a build takes minutes, a test may not.
Without programs these tests are skipped, with the reason once more at the end of the run; with CI=true they fail.
"""

import os
import secrets
from collections.abc import Iterator

import pytest

from tests.controlplane.build import ControlPlaneUnavailableError, find_programs
from tests.controlplane.server import ControlPlane, control_plane

MISSING = pytest.StashKey[ControlPlaneUnavailableError | None]()


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly or not any(item.get_closest_marker("cluster") for item in session.items):
        return
    session.config.stash[MISSING] = None
    try:
        find_programs()
    except ControlPlaneUnavailableError as error:
        session.config.stash[MISSING] = error


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if error := config.stash.get(MISSING, None):
        terminalreporter.section("THE TESTS ON A REAL CONTROL PLANE DID NOT RUN", sep="!", red=True, bold=True)
        terminalreporter.line(str(error))


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """The one control plane that all tests share: work in a `namespace` of your own, and leave the servers running."""
    _require_programs(request.config)
    with control_plane() as running:
        yield running


@pytest.fixture(scope="session")
def cluster_without_watchlist(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """A second one that plays an older server: it refuses a watch with `sendInitialEvents`."""
    _require_programs(request.config)
    with control_plane(watchlist=False) as running:
        yield running


@pytest.fixture
def namespace(cluster: ControlPlane) -> str:
    """A new namespace, `restricted` as in production. It stays: nothing here finishes the deletion of a namespace."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    return name


def _require_programs(config: pytest.Config) -> None:
    assert MISSING in config.stash, "a test that uses a control plane has to be marked `cluster`"
    if error := config.stash[MISSING]:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))
