"""What a visitor meets: record -> tunnel -> first matching rule -> service, as Cloudflare's edge and cloudflared do it.

`server` starts it beside the API, in the same world. The choice of a rule is pure; the rest is a small proxy. A name
without a record cannot be shown as a name that does not resolve: the answer is 530 with `x-sandbox-edge: no-record`.
"""

import re
from collections.abc import Mapping, Sequence

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from sandbox.cloudflare.envelope import Json
from sandbox.cloudflare.tunnels import Tunnel
from sandbox.cloudflare.world import World

_TARGET = re.compile(r"([0-9a-f-]{36})\.cfargotunnel\.com")
# Headers that belong to one connection, not to the request.
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "te", "trailer"})


def records_of(world: World, host: str) -> list[Json]:
    """The records that answer for `host`: its own of any type, else those of the nearest wildcard above it."""
    if found := world.records.at(host):
        return found
    above = host.partition(".")[2]
    while above:
        if found := world.records.at(f"*.{above}"):
            return found
        # A name that exists is not looked through.
        above = "" if world.records.at(above) else above.partition(".")[2]
    return []


def tunnel_of(world: World, records: Sequence[Json]) -> Tunnel | None:
    """The tunnel of this account that a proxied CNAME among `records` leads to."""
    for record in records:
        target = _TARGET.fullmatch(str(record["content"])) if record["type"] == "CNAME" else None
        tunnel = world.tunnels.get(target[1]) if target and record["proxied"] else None
        if tunnel is not None and not tunnel.is_deleted:
            return tunnel
    return None


def service_of(tunnel: Tunnel, host: str, path: str) -> str | None:
    """The service of the first rule that matches, top to bottom; None for a tunnel without a configuration."""
    for rule in (tunnel.config or {}).get("ingress") or ():
        if _is_host(rule.get("hostname") or "", host) and re.search(rule.get("path") or "", path):
            return str(rule["service"])
    return None


def _is_host(pattern: str, host: str) -> bool:
    if pattern in ("", "*"):
        return True
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


class Edge:
    """The proxy."""

    def __init__(self, world: World, http: aiohttp.ClientSession) -> None:
        self._world = world
        self._http = http

    def application(self) -> web.Application:
        """Everything is for the proxy."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._visit)
        return application

    async def _visit(self, request: web.Request) -> web.Response:
        host = request.host.partition(":")[0].lower()
        records = records_of(self._world, host)
        tunnel = tunnel_of(self._world, records)
        if tunnel is None:
            return _own(530, "error code: 1016", "no-tunnel" if records else "no-record")
        service = service_of(tunnel, host, request.path)
        if service is None:
            return _own(503, "the tunnel has no configuration yet", "no-configuration")
        if service.startswith("http_status:"):
            return _own(int(service.partition(":")[2]), "", "http-status")
        return await self._forward(request, service)

    async def _forward(self, request: web.Request, service: str) -> web.Response:
        headers = _passed(request.headers)
        headers["Cf-Ray"] = "sandbox"
        url = service + request.path_qs
        try:
            async with self._http.request(
                request.method, url, headers=headers, data=await request.read(), allow_redirects=False
            ) as reply:
                return web.Response(status=reply.status, body=await reply.read(), headers=_passed(reply.headers))
        except (aiohttp.ClientError, aiohttp.InvalidURL):
            return _own(502, "error code: 502", "no-origin")


def _passed(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Repeated ones stay: a sign-in sets several cookies at once."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HOP)


def _own(status: int, text: str, why: str) -> web.Response:
    return web.Response(status=status, text=text, headers={"x-sandbox-edge": why})
