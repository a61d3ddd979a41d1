"""The one place with I/O: HTTP on loopback around `world.World`, with the faults on the way, and the edge beside it.

`sandbox.__main__` starts it with `add_arguments` and `serve`, tests and the demo with `running`.
"""

import argparse
import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import aiohttp
from aiohttp import web

from sandbox.cloudflare import world as defaults
from sandbox.cloudflare.access import ALL_RIGHTS
from sandbox.cloudflare.control import PREFIX, control_application
from sandbox.cloudflare.edge import Edge
from sandbox.cloudflare.envelope import RefusedError, Reply, Request
from sandbox.cloudflare.faults import Intrude, Late, Refuse, Stale, Truncate
from sandbox.cloudflare.switchboard import Switchboard
from sandbox.cloudflare.world import World
from sandbox.faults import Drop, Hold, Latency

BASE = "/client/v4"
_BODY_LIMIT = 64 * 1024 * 1024  # bytes


class Places(NamedTuple):
    """Where the servers listen: `api` is what CLOUDFLARE_BASE_URL takes, `control` the knobs, `edge` for visitors."""

    api: str
    control: str
    edge: str


class _DroppedError(Exception):
    """The connection is to be closed without a word."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `python -m sandbox cloudflare` takes."""
    parser.add_argument("--port", type=int, default=0, help="of the API, on 127.0.0.1 (default: a free one)")
    parser.add_argument("--edge-port", type=int, default=0, help="of the edge, on 127.0.0.1 (default: a free one)")
    parser.add_argument("--zone-id", default=defaults.ZONE_ID, help="(%(default)s)")
    parser.add_argument("--zone-name", default="example.org", help="(%(default)s)")
    parser.add_argument("--account-id", default=defaults.ACCOUNT_ID, help="(%(default)s)")
    parser.add_argument("--tunnel-id", default=defaults.TUNNEL_ID, help="(%(default)s)")
    parser.add_argument("--token", default=defaults.TOKEN, help="with all rights (%(default)s)")
    parser.add_argument("--plan", choices=sorted(defaults.QUOTAS), default="free", help="(%(default)s)")
    parser.add_argument("--quota", type=int, help="records that the zone takes (default: the plan's)")


async def serve(args: argparse.Namespace) -> None:
    """Serve until cancelled."""
    world = World(
        zone_id=args.zone_id,
        zone_name=args.zone_name,
        account_id=args.account_id,
        tunnel_id=args.tunnel_id,
        plan=args.plan,
        quota=args.quota,
        tokens={args.token: ALL_RIGHTS},
    )
    async with running(world, port=args.port, edge_port=args.edge_port) as places:
        print(f"listening on {places.api}, edge on {places.edge}", flush=True)
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def running(
    world: World, *, port: int = 0, edge_port: int = 0, switchboard: Switchboard | None = None
) -> AsyncIterator[Places]:
    """The API and the edge of `world` on 127.0.0.1."""
    switchboard = switchboard or Switchboard(world)
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        api = await stack.enter_async_context(_listening(_application(switchboard), port))
        edge = await stack.enter_async_context(_listening(Edge(world, http).application(), edge_port))
        stack.callback(switchboard.release)
        yield Places(api + BASE, api + PREFIX, edge)


@contextlib.asynccontextmanager
async def _listening(application: web.Application, port: int) -> AsyncIterator[str]:
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=1, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _application(switchboard: Switchboard) -> web.Application:
    application = web.Application(client_max_size=_BODY_LIMIT)
    application.add_subapp(PREFIX, control_application(switchboard))
    application.router.add_route("*", BASE + "/{path:.*}", _handler(switchboard))
    return application


def _handler(switchboard: Switchboard) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    under_way: set[asyncio.Task[Reply]] = set()

    async def handle(wire: web.Request) -> web.StreamResponse:
        request = await _read(wire)
        # The effect of a request does not depend on whether its client waits for the answer.
        task = asyncio.create_task(_answer(switchboard, request))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        try:
            reply = await asyncio.shield(task)
        except _DroppedError:
            if wire.transport is not None:
                wire.transport.abort()
            return web.Response()
        return web.json_response(reply.body, status=reply.status, headers=reply.headers)

    return handle


async def _read(wire: web.Request) -> Request:
    headers = {name.lower(): value for name, value in wire.headers.items()}
    body: object = None
    if wire.can_read_body:
        try:
            body = await wire.json()
        except ValueError:
            body = await wire.text()
    return Request(wire.method, wire.path.removeprefix(BASE), dict(wire.query), headers, body)


async def _answer(switchboard: Switchboard, request: Request) -> Reply:
    """The answer, counted, with everything that goes wrong on the way. Raises _DroppedError."""
    try:
        reply = await _disturbed(switchboard, request)
    except _DroppedError:
        switchboard.count(request, 0)
        raise
    switchboard.count(request, reply.status)
    return reply


async def _disturbed(switchboard: Switchboard, request: Request) -> Reply:
    await asyncio.sleep(switchboard.latency)
    if switchboard.is_down:
        raise _DroppedError
    actions = switchboard.faults.take(request.method, request.path, request.query)
    refused = await _before(switchboard, request, actions)
    if refused is not None:
        return refused
    reply = switchboard.world.handle(request, time.time())
    return await _after(switchboard, request, actions, reply)


async def _before(switchboard: Switchboard, request: Request, actions: list[object]) -> Reply | None:
    for action in actions:
        match action:
            case Latency(seconds) | Late(seconds):
                await asyncio.sleep(seconds)
            case Hold("before"):
                await switchboard.hold(request, "before")
            case Drop("before"):
                raise _DroppedError
            case Refuse(error, "before"):
                return error.reply()
            case Intrude(config):
                switchboard.world.tunnel.configure(config, "2026-01-01T00:00:00Z")
    return None


async def _after(switchboard: Switchboard, request: Request, actions: list[object], reply: Reply) -> Reply:
    for action in actions:
        match action:
            case Hold("after"):
                await switchboard.hold(request, "after")
            case Drop("after") | Late():
                raise _DroppedError
            case Refuse(RefusedError() as error, "after"):
                reply = error.reply()
            case Stale(seconds):
                await asyncio.sleep(seconds)
            case Truncate(count):
                reply = Reply(reply.status, {**reply.body, "result": reply.body["result"][:count]}, reply.headers)
    return reply
