"""The servers that the suite runs against: the sandbox and the real one, each with streamed lists and without."""

import itertools
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import aiohttp
import pytest

from sandbox.kubernetes.api import Settings
from sandbox.kubernetes.server import running
from tests.contract.kubernetes.support import Cluster
from tests.controlplane import ControlPlane, ControlPlaneUnavailableError, control_plane

_numbers = itertools.count(1)


class Server(NamedTuple):
    """Which server; `real` is None for the sandbox, which each test gets afresh."""

    real: ControlPlane | None
    watchlist: bool


@pytest.fixture(
    scope="session",
    params=[
        pytest.param((False, True), id="sandbox"),
        pytest.param((False, False), id="sandbox-without-watchlist"),
        pytest.param((True, True), id="real", marks=pytest.mark.cluster),
        pytest.param((True, False), id="real-without-watchlist", marks=pytest.mark.cluster),
    ],
)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One after the other: pytest sorts the tests by it."""
    is_real, watchlist = request.param
    if not is_real:
        yield Server(None, watchlist)
        return
    try:
        with control_plane(watchlist=watchlist) as real:
            yield Server(real, watchlist)
    except ControlPlaneUnavailableError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture
async def cluster(server: Server) -> AsyncIterator[Cluster]:
    """The server with a namespace that nobody else uses."""
    async with aiohttp.ClientSession() as session:
        if server.real:
            trust = ssl.create_default_context(cafile=server.real.ca_file)
            headers = {"Authorization": f"Bearer {server.real.token}"}
            yield await _with_namespace(session, server.real.url, headers, trust, server)
        else:
            async with running(settings=Settings(watchlist=server.watchlist)) as url:
                yield await _with_namespace(session, url, {}, True, server)


async def _with_namespace(
    session: aiohttp.ClientSession, url: str, headers: dict[str, str], trust: ssl.SSLContext | bool, server: Server
) -> Cluster:
    name = f"contract-{next(_numbers)}"
    cluster = Cluster(session, url, headers, trust, name, server.watchlist)
    await cluster.make("/api/v1/namespaces", {"metadata": {"name": name}})
    return cluster
