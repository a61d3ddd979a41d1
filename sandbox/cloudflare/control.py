"""The server's own knobs, under `/_sandbox/`; no token is asked for, and they answer during an outage, too.

GET PUT DELETE /_sandbox/faults   the rules in force (`faults` and `sandbox.faults` describe them)
GET  /_sandbox/held               the requests that wait
POST /_sandbox/release            let them go on; {"id": 7} lets one go
GET DELETE /_sandbox/calls        what was asked so far, one by one and counted by kind; DELETE counts from zero
GET  /_sandbox/world              every record, every tunnel's document and version
POST /_sandbox/records            create a record as another program would
PATCH DELETE /_sandbox/records/{id}   change or delete one
PUT  /_sandbox/tunnel             write the tunnel's document as another program would
GET PATCH /_sandbox/settings      down (true closes connections, 503 answers so), latency (seconds, of every call),
                                  plan, quota, rate_limit, tokens ({"secret": ["dns:edit", …]}),
                                  source and deleted (of the tunnel)
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from sandbox.cloudflare.envelope import Json, RefusedError, parsed
from sandbox.cloudflare.switchboard import Switchboard
from sandbox.cloudflare.validation import PLANS
from sandbox.cloudflare.world import stamp

PREFIX = "/_sandbox"


def control_application(switchboard: Switchboard) -> web.Application:
    """The knobs of one server."""
    control = _Control(switchboard)
    application = web.Application(middlewares=[_refuse_nonsense])
    application.add_routes(
        [
            *(web.route(method, "/faults", control.faults) for method in ("GET", "PUT", "DELETE")),
            web.get("/held", control.held),
            web.post("/release", control.release),
            web.get("/calls", control.calls),
            web.delete("/calls", control.calls),
            web.get("/world", control.world),
            web.post("/records", control.create),
            web.patch("/records/{id}", control.change),
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

    async def release(self, request: web.Request) -> web.Response:
        wanted = json.loads(await request.text() or "{}")
        return web.json_response({"released": self._switchboard.release(parsed(wanted).get("id"))})

    async def calls(self, request: web.Request) -> web.Response:
        board = self._switchboard
        told = {"total": board.total, "by_kind": dict(board.counts), "calls": [asdict(call) for call in board.calls]}
        if request.method == "DELETE":
            board.forget_calls()
        return web.json_response(told)

    async def world(self, _: web.Request) -> web.Response:
        return web.json_response(self._world.snapshot())

    async def create(self, request: web.Request) -> web.Response:
        record = {"ttl": 1, **parsed(await request.json())}
        return web.json_response(self._world.records.create(record, _now()).body)

    async def change(self, request: web.Request) -> web.Response:
        key = request.match_info["id"]
        return web.json_response(self._world.records.patch(key, await request.json(), _now()).body)

    async def delete(self, request: web.Request) -> web.Response:
        return web.json_response(self._world.records.delete(request.match_info["id"]).body)

    async def configure(self, request: web.Request) -> web.Response:
        self._world.tunnel.configure(await request.json(), _now())
        return web.json_response(self._world.tunnel.configuration())

    async def settings(self, request: web.Request) -> web.Response:
        if request.method == "PATCH":
            _change(self._switchboard, await request.json())
        return web.json_response(_settings(self._switchboard))


def _settings(board: Switchboard) -> Json:
    world = board.world
    return {
        "down": board.is_down and (board.down_status or True),
        "latency": board.latency,
        "plan": world.records.plan.name,
        "quota": world.records.quota,
        "rate_limit": world.access.limit,
        "tokens": {secret: sorted(token.rights) for secret, token in world.access.tokens.items()},
        "source": world.tunnel.source,
        "deleted": world.tunnel.is_deleted,
    }


def _change(board: Switchboard, wanted: Any) -> None:
    """Raises ValueError, and changes nothing, for a setting or value that does not exist."""
    if not isinstance(wanted, dict) or not all(_VALID.get(key, _never)(value) for key, value in wanted.items()):
        raise ValueError(f"settings: {', '.join(_VALID)}, each with a value of its kind, are expected")
    if "tokens" in wanted:
        board.world.access.grant({secret: frozenset(rights) for secret, rights in wanted["tokens"].items()})
    values = _settings(board) | wanted
    board.is_down = bool(values["down"])
    board.down_status = values["down"] if values["down"] is not True else 0
    board.latency = float(values["latency"])
    board.world.records.plan = PLANS[values["plan"]]
    board.world.records.quota = values["quota"]
    board.world.access.limit = values["rate_limit"]
    board.world.tunnel.source = values["source"]
    board.world.tunnel.is_deleted = values["deleted"]


def _never(_: object) -> bool:
    return False


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_grant(value: object) -> bool:
    rights = list(value.values()) if isinstance(value, dict) else [None]
    return all(isinstance(each, list) and all(isinstance(right, str) for right in each) for each in rights)


_VALID: Mapping[str, Callable[[Any], bool]] = {
    "down": lambda value: isinstance(value, bool) or (_is_number(value) and 400 <= value <= 599),
    "latency": lambda value: _is_number(value) or (isinstance(value, float) and 0 <= value < math.inf),
    "plan": lambda value: isinstance(value, str) and value in PLANS,
    "quota": _is_number,
    "rate_limit": _is_number,
    "tokens": _is_grant,
    "source": lambda value: value in ("local", "cloudflare"),
    "deleted": lambda value: isinstance(value, bool),
}


def _now() -> str:
    return stamp(time.time())


@web.middleware
async def _refuse_nonsense(request: web.Request, handler: Handler) -> web.StreamResponse:
    """400 with the reason, for what the handlers raise about their input."""
    try:
        return await handler(request)
    except RefusedError as error:
        return web.json_response(error.reply().body, status=error.status)
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=400)
