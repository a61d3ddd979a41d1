"""The server's own knobs, under `/_sandbox/`; no token is asked for, and they answer during an outage, too.

GET PUT DELETE /_sandbox/faults   the rules in force (`faults` and `sandbox.faults` describe them)
GET  /_sandbox/held               the requests that wait;     POST /_sandbox/release lets them go
GET  /_sandbox/calls              what was asked so far, one by one and counted by kind;   DELETE counts from zero
GET  /_sandbox/world              every record, every tunnel's document and version
POST /_sandbox/records            create a record as another program would;   DELETE /_sandbox/records/{id}
PUT  /_sandbox/tunnel             write the tunnel's document as another program would
GET PATCH /_sandbox/settings      down, latency (seconds for every call), quota, rate_limit, source, deleted
"""

import time
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from sandbox.cloudflare.envelope import Json, RefusedError
from sandbox.cloudflare.switchboard import Switchboard

PREFIX = "/_sandbox"

_TYPES: dict[str, type | tuple[type, ...]] = {
    "down": bool,
    "latency": (int, float),
    "quota": int,
    "rate_limit": int,
    "source": str,
    "deleted": bool,
}


def control_application(switchboard: Switchboard) -> web.Application:
    """The knobs of one server."""
    control = _Control(switchboard)
    application = web.Application(middlewares=[_refuse_nonsense])
    application.add_routes(
        [
            web.route("*", "/faults", control.faults),
            web.get("/held", control.held),
            web.post("/release", control.release),
            web.get("/calls", control.calls),
            web.delete("/calls", control.calls),
            web.get("/world", control.world),
            web.post("/records", control.create),
            web.delete("/records/{id}", control.delete),
            web.put("/tunnel", control.configure),
            web.get("/settings", control.settings),
            web.patch("/settings", control.settings),
        ]
    )
    return application


class _Control:
    """The handlers; each answers with JSON."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._world = switchboard.world

    async def faults(self, request: web.Request) -> web.Response:
        if request.method != "GET":
            self._switchboard.faults.replace(await request.json() if request.method == "PUT" else [])
        return web.json_response(self._switchboard.faults.report())

    async def held(self, _: web.Request) -> web.Response:
        return web.json_response(self._switchboard.held())

    async def release(self, _: web.Request) -> web.Response:
        return web.json_response({"released": self._switchboard.release()})

    async def calls(self, request: web.Request) -> web.Response:
        board = self._switchboard
        told = {"total": board.total, "by_kind": dict(board.counts), "calls": [call._asdict() for call in board.calls]}
        if request.method == "DELETE":
            board.forget_calls()
        return web.json_response(told)

    async def world(self, _: web.Request) -> web.Response:
        return web.json_response(self._world.snapshot())

    async def create(self, request: web.Request) -> web.Response:
        return web.json_response(self._world.records.create(await request.json(), _now()).body)

    async def delete(self, request: web.Request) -> web.Response:
        return web.json_response(self._world.records.delete(request.match_info["id"]).body)

    async def configure(self, request: web.Request) -> web.Response:
        self._world.tunnel.configure(await request.json(), _now())
        return web.json_response(self._world.tunnel.configuration())

    async def settings(self, request: web.Request) -> web.Response:
        if request.method == "PATCH":
            self._change(await request.json())
        return web.json_response(self._settings())

    def _settings(self) -> Json:
        return {
            "down": self._switchboard.is_down,
            "latency": self._switchboard.latency,
            "quota": self._world.records.quota,
            "rate_limit": self._world.access.limit,
            "source": self._world.tunnel.source,
            "deleted": self._world.tunnel.is_deleted,
        }

    def _change(self, wanted: Any) -> None:
        if not isinstance(wanted, dict) or not all(isinstance(v, _TYPES.get(k, ())) for k, v in wanted.items()):
            raise ValueError(f"settings: {', '.join(_TYPES)}, each with a value of its kind, are expected")
        values = self._settings() | wanted
        self._switchboard.is_down = values["down"]
        self._switchboard.latency = float(values["latency"])
        self._world.records.quota = values["quota"]
        self._world.access.limit = values["rate_limit"]
        self._world.tunnel.source = values["source"]
        self._world.tunnel.is_deleted = values["deleted"]


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat()


@web.middleware
async def _refuse_nonsense(request: web.Request, handler: Handler) -> web.StreamResponse:
    """400 with the reason, for what the handlers raise about their input."""
    try:
        return await handler(request)
    except (ValueError, RefusedError) as error:
        return web.json_response({"error": str(error)}, status=400)
