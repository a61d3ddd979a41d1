"""The server's own knobs, under `/_sandbox/`; they answer during an outage, too.

GET PUT DELETE /_sandbox/faults    the rules in force (`faults` and `sandbox.faults` describe them)
GET  /_sandbox/held                the requests that wait;       POST /_sandbox/release lets them go
POST /_sandbox/compact             forget the history: watches and pages that begin before now are 410
GET PATCH /_sandbox/settings       watchlist, down, history, bookmark_interval (seconds), token
POST /_sandbox/outage              {"seconds": 3}: every connection dropped, and new ones, for so long
GET DELETE /_sandbox/calls         what was asked so far, counted
"""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from sandbox.kubernetes.objects import Json
from sandbox.kubernetes.switchboard import Switchboard

PREFIX = "/_sandbox"

_TYPES: dict[str, type | tuple[type, ...]] = {
    "watchlist": bool,
    "down": bool,
    "history": int,
    "bookmark_interval": (int, float),
    "token": str,
}


class _Control:
    """The handlers; each answers with JSON."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._outages: set[asyncio.Task[None]] = set()

    async def faults(self, request: web.Request) -> web.Response:
        if request.method != "GET":
            self._switchboard.faults.replace(await request.json() if request.method == "PUT" else [])
            self._switchboard.wake_all()
        return web.json_response(self._switchboard.faults.report())

    async def held(self, _: web.Request) -> web.Response:
        return web.json_response(self._switchboard.held())

    async def release(self, _: web.Request) -> web.Response:
        return web.json_response({"released": self._switchboard.release()})

    async def compact(self, _: web.Request) -> web.Response:
        shelf = self._switchboard.api.store.shelf
        shelf.compact()
        return web.json_response({"oldest": shelf.oldest})

    async def settings(self, request: web.Request) -> web.Response:
        if request.method == "PATCH":
            self._change(await request.json())
        return web.json_response(self._settings())

    async def outage(self, request: web.Request) -> web.Response:
        seconds = (await request.json()).get("seconds")
        if not isinstance(seconds, (int, float)):
            raise ValueError("seconds: a number is expected")
        self._switchboard.set_down(is_down=True)
        task = asyncio.create_task(self._end_outage(seconds))
        self._outages.add(task)
        task.add_done_callback(self._outages.discard)
        return web.json_response({"seconds": seconds})

    async def calls(self, request: web.Request) -> web.Response:
        counted = [{**call._asdict(), "count": count} for call, count in self._switchboard.calls.items()]
        if request.method == "DELETE":
            self._switchboard.calls.clear()
        return web.json_response(counted)

    async def _end_outage(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._switchboard.set_down(is_down=False)

    def _settings(self) -> Json:
        switchboard = self._switchboard
        return {
            "watchlist": switchboard.api.settings.watchlist,
            "down": switchboard.is_down,
            "history": switchboard.api.store.shelf.history,
            "bookmark_interval": switchboard.bookmark_interval,
            "token": switchboard.api.settings.token,
        }

    def _change(self, wanted: Any) -> None:
        if not isinstance(wanted, dict) or not all(
            isinstance(value, _TYPES.get(key, ())) for key, value in wanted.items()
        ):
            raise ValueError(f"settings: {', '.join(_TYPES)}, each with a value of its kind, are expected")
        values = self._settings() | wanted
        switchboard = self._switchboard
        switchboard.api.settings.watchlist = values["watchlist"]
        switchboard.api.settings.token = values["token"]
        switchboard.api.store.shelf.history = values["history"]
        switchboard.bookmark_interval = values["bookmark_interval"]
        switchboard.set_down(is_down=values["down"])


@web.middleware
async def _refuse_nonsense(request: web.Request, handler: Handler) -> web.StreamResponse:
    """400 with the reason, for what the handlers raise about their input."""
    try:
        return await handler(request)
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=400)


def control_application(switchboard: Switchboard) -> web.Application:
    """All the knobs, to be mounted under `PREFIX`."""
    control = _Control(switchboard)
    application = web.Application(middlewares=[_refuse_nonsense])
    for name, handler, methods in (
        ("faults", control.faults, ("GET", "PUT", "DELETE")),
        ("held", control.held, ("GET",)),
        ("release", control.release, ("POST",)),
        ("compact", control.compact, ("POST",)),
        ("settings", control.settings, ("GET", "PATCH")),
        ("outage", control.outage, ("POST",)),
        ("calls", control.calls, ("GET", "DELETE")),
    ):
        application.add_routes([web.route(method, f"/{name}", handler) for method in methods])
    return application
