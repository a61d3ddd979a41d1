"""The one place that listens: the API with its knobs, and the edge beside it, around one `world.World`.

`sandbox.__main__` starts it with `add_arguments` and `serve`; tests, the stage and the demo with `running`.
"""

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

import aiohttp
from aiohttp import web

from sandbox.cloudflare import control
from sandbox.cloudflare import world as defaults
from sandbox.cloudflare.access import ALL_RIGHTS
from sandbox.cloudflare.edge import Edge
from sandbox.cloudflare.shell import BASE, Shell
from sandbox.cloudflare.switchboard import Switchboard
from sandbox.cloudflare.validation import PLANS
from sandbox.cloudflare.world import World

_BODY_LIMIT = 64 * 1024 * 1024  # bytes


class Places(NamedTuple):
    """Where the servers listen: `api` is what CLOUDFLARE_BASE_URL takes, `control` the knobs, `edge` for visitors."""

    api: str
    control: str
    edge: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `python -m sandbox cloudflare` takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = control.__doc__
    parser.add_argument("--port", type=int, default=0, help="of the API, on 127.0.0.1 (default: a free one)")
    parser.add_argument("--edge-port", type=int, default=0, help="of the edge, on 127.0.0.1 (default: a free one)")
    parser.add_argument("--zone-id", default=defaults.ZONE_ID, help="(default: %(default)s)")
    parser.add_argument("--zone-name", default="example.org", help="(default: %(default)s)")
    parser.add_argument("--account-id", default=defaults.ACCOUNT_ID, help="(default: %(default)s)")
    parser.add_argument("--tunnel-id", default=defaults.TUNNEL_ID, help="(default: %(default)s)")
    parser.add_argument(
        "--token",
        action="append",
        type=_token,
        metavar="SECRET[=RIGHT,RIGHT]",
        help=f"may be repeated; without rights it has all: {', '.join(sorted(ALL_RIGHTS))} "
        f"(default: {', '.join(defaults.TOKENS)})",
    )
    parser.add_argument("--plan", choices=sorted(PLANS), default="free", help="(default: %(default)s)")
    parser.add_argument("--quota", type=int, help="records that the zone takes (default: the plan's)")


def _token(text: str) -> tuple[str, frozenset[str]]:
    secret, _, rights = text.partition("=")
    wanted = frozenset(rights.split(",")) if rights else ALL_RIGHTS
    if not wanted <= ALL_RIGHTS:
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(wanted - ALL_RIGHTS))}: no such right")
    return secret, wanted


async def serve(args: argparse.Namespace) -> None:
    """Serve until cancelled."""
    world = World(
        zone_id=args.zone_id,
        zone_name=args.zone_name,
        account_id=args.account_id,
        tunnel_id=args.tunnel_id,
        plan=args.plan,
        quota=args.quota,
        tokens=dict(args.token or defaults.TOKENS),
    )
    async with running(world, port=args.port, edge_port=args.edge_port) as places:
        print(f"edge on {places.edge}")
        # Last and alone on its line: who waits for it can take the rest of the line as the address.
        print(f"listening on {places.api.removesuffix(BASE)}", flush=True)
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def running(
    world: World, *, port: int = 0, edge_port: int = 0, switchboard: Switchboard | None = None
) -> AsyncIterator[Places]:
    """The API and the edge of `world` on 127.0.0.1."""
    switchboard = switchboard or Switchboard(world)
    shell = Shell(switchboard)
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        stack.push_async_callback(shell.close)
        api = await stack.enter_async_context(_listening(_application(switchboard, shell), port))
        edge = await stack.enter_async_context(_listening(Edge(world, http).application(), edge_port))
        stack.callback(switchboard.release)
        yield Places(api + BASE, api + control.PREFIX, edge)


@contextlib.asynccontextmanager
async def _listening(application: web.Application, port: int) -> AsyncIterator[str]:
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=1, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _application(switchboard: Switchboard, shell: Shell) -> web.Application:
    application = web.Application(client_max_size=_BODY_LIMIT)
    application.add_subapp(control.PREFIX, control.control_application(switchboard))
    application.router.add_route("*", BASE + "/{path:.*}", shell.handle)
    return application
