"""The servers that the suite runs against: the sandbox and the real one, each with streamed lists and without."""

import asyncio
import itertools
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import NamedTuple

import aiohttp
import pytest

from sandbox.kubernetes.api import Settings
from sandbox.kubernetes.server import running
from tests.contract.kubernetes.support import Cluster, eventually
from tests.controlplane import ControlPlane, ControlPlaneUnavailableError, control_plane

_RESTART_LIMIT = 20.0  # seconds

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
            yield await _with_namespace(_real(session, server.real, server.watchlist))
        else:
            async with running(settings=Settings(watchlist=server.watchlist)) as url:
                yield await _with_namespace(_sandbox(session, url, server.watchlist))


def _real(session: aiohttp.ClientSession, real: ControlPlane, watchlist: bool) -> Cluster:
    async def forget() -> None:
        real.restart_apiserver()  # its caches begin anew, and say 429 until they have
        async with asyncio.timeout(_RESTART_LIMIT):
            for path in (made.pods, made.routes, made.leases):
                await eventually(partial(_has_cache, made, path))

    trust = ssl.create_default_context(cafile=real.ca_file)
    headers = {"Authorization": f"Bearer {real.token}"}
    made = Cluster(session, real.url, headers, trust, f"contract-{next(_numbers)}", watchlist, forget)
    return made


async def _has_cache(made: Cluster, path: str) -> bool:
    return (await made.ask("GET", path, resourceVersion="0")).status != 429


def _sandbox(session: aiohttp.ClientSession, url: str, watchlist: bool) -> Cluster:
    async def forget() -> None:
        async with session.post(f"{url}/_sandbox/compact") as response:
            assert response.status == 200

    return Cluster(session, url, {}, True, f"contract-{next(_numbers)}", watchlist, forget)


async def _with_namespace(cluster: Cluster) -> Cluster:
    await cluster.make("/api/v1/namespaces", {"metadata": {"name": cluster.namespace}})
    return cluster
