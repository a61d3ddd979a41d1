"""The real Traefik is content with the sandbox: a route that is made there is a route that answers."""

import asyncio
import socket
import sysconfig
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.contract.kubernetes.support import Cluster, Json, eventually, route

TRAEFIK = Path(sysconfig.get_path("scripts")) / "traefik"


@pytest.fixture
async def backend() -> AsyncIterator[int]:
    """The port of a server that says for whom it was asked."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=f"asked for {request.host}")

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.fixture(params=[True, False], ids=["watchlist", "older"])
async def traefik(request: pytest.FixtureRequest, sandbox: Cluster, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a Traefik that reads its routes from the sandbox, by streamed lists or as it did before those."""
    await sandbox.ask("PATCH", "/_sandbox/settings", {"watchlist": request.param})
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        TRAEFIK,
        f"--entrypoints.web.address=127.0.0.1:{port}",
        f"--providers.kubernetescrd.endpoint={sandbox.url}",
        "--providers.kubernetescrd.token=any",
        "--providers.kubernetescrd.allowexternalnameservices=true",
        "--providers.kubernetescrd.allowcrossnamespace=true",
        "--providers.providersthrottleduration=50ms",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        cwd=tmp_path,
        env={"HOME": str(tmp_path)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


def service(name: str, port: int) -> Json:
    spec = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


async def test_a_route_answers_while_it_is_there(sandbox: Cluster, backend: int, traefik: str) -> None:
    await sandbox.make("/api/v1/namespaces/ns/services", service("router", backend))

    async def answers(status: int) -> str:
        try:
            async with sandbox.session.get(traefik, headers={"Host": "a.example.org"}) as response:
                return await response.text() if response.status == status else ""
        except aiohttp.ClientConnectionError:
            return ""  # it is still starting

    rule = {"match": "Host(`a.example.org`)", "kind": "Rule", "services": [{"name": "router", "port": backend}]}
    await eventually(lambda: answers(404))
    await sandbox.make(sandbox.routes, route("r", routes=[rule]))
    assert await eventually(lambda: answers(200)) == "asked for a.example.org"
    await sandbox.ask("DELETE", f"{sandbox.routes}/r")
    await eventually(lambda: answers(404))
