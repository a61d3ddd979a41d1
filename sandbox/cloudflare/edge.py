"""What a visitor meets: record -> tunnel -> first matching rule -> service, as Cloudflare's edge and cloudflared do it.

`server` starts it beside the API, in the same world. The choice of a rule is pure; the rest is a small proxy. A name
without a record cannot be shown as a name that does not resolve: the answer is 530 with `x-sandbox-edge: no-record`.
"""

import re
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import web

from sandbox.cloudflare.world import Tunnel, World

_TARGET = re.compile(r"([0-9a-f-]{36})\.cfargotunnel\.com")
# Headers that belong to one connection, not to the request.
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "te", "trailer"})


def tunnel_of(world: World, host: str) -> Tunnel | None:
    """The tunnel that the proxied CNAME at `host` (else the wildcard above it) leads to."""
    wildcard = "*." + host.partition(".")[2]
    records = world.records.at(host) or world.records.at(wildcard)
    for record in records:
        target = _TARGET.fullmatch(str(record["content"])) if record["type"] == "CNAME" else None
        if target and record["proxied"]:
            return world.tunnels.get(target[1])
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
        tunnel = tunnel_of(self._world, host)
        if tunnel is None or tunnel.is_deleted:
            return _own(530, "error code: 1016", "no-record" if tunnel is None else "no-tunnel")
        service = service_of(tunnel, host, request.path)
        if service is None:
            return _own(503, "the tunnel has no configuration yet", "no-configuration")
        if service.startswith("http_status:"):
            return _own(int(service.partition(":")[2]), "", "http-status")
        return await self._forward(request, service)

    async def _forward(self, request: web.Request, service: str) -> web.Response:
        headers = {**_passed(request.headers), "Host": request.host, "Cf-Ray": "sandbox"}
        url = service + request.path_qs
        try:
            async with self._http.request(
                request.method, url, headers=headers, data=await request.read(), allow_redirects=False
            ) as reply:
                return web.Response(status=reply.status, body=await reply.read(), headers=_passed(reply.headers))
        except aiohttp.ClientError:
            return _own(502, "error code: 502", "no-origin")


def _passed(headers: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP}


def _own(status: int, text: str, why: str) -> web.Response:
    return web.Response(status=status, text=text, headers={"x-sandbox-edge": why})
