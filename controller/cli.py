"""The command line: `run` (the default, what the container starts) and `sweep`, for people.

Reads the environment and the arguments, sets up the logs, hands over to `app` or `sweep_command`. Exit codes: 0 done,
1 the command failed, 2 the environment or the arguments cannot be used.
"""

import argparse
import asyncio
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from controller import app, logs, sweep_command
from controller.settings import Settings, SettingsError
from fsm.errors import SessionError
from fsm.session import MANAGER

_EPILOG = """\
environment:
  required: CF_API_TOKEN CF_ZONE_ID CF_TUNNEL_ID DOMAIN ROUTER_SERVICE_URL
  optional: ROUTE_SUFFIX WATCH_NAMESPACE POD_LABEL_SELECTOR INGRESSROUTE_NAMESPACE OAUTH2_CHAIN_MIDDLEWARE
            ROUTER_SERVICE_NAME HEALTH_HOST HEALTH_PORT OWNER_ID OWNER_ID_PREVIOUS LEASE_NAME LEASE_DURATION
            RESYNC_INTERVAL ORPHAN_GRACE CF_REQUEST_BUDGET CLOUDFLARE_BASE_URL LOG_FORMAT LOG_LEVEL POD_NAME
  The README explains each of them.
"""


LAST = 5.0  # seconds that the interpreter may take to end


def main() -> None:
    """What `__main__` calls."""
    sys.exit(run(sys.argv[1:], os.environ))


def run(arguments: Sequence[str], env: Mapping[str, str]) -> int:
    """Carry out one command line in this environment; returns the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        settings = Settings.from_env(env)
    except SettingsError as error:
        sys.stderr.write("The environment cannot be used:\n" + "".join(f"  {line}\n" for line in error.problems))
        return 2
    logs.set_up(settings.log_format, settings.log_level)
    try:
        if chosen.command == "sweep":
            return asyncio.run(sweep_command.run(settings, force=chosen.force))
        return asyncio.run(_served(settings))
    except SessionError as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, app.UnusableError) else 1


async def _served(settings: Settings) -> int:
    code = await app.run(settings)
    # All is done, and the Lease is free. A name that a thread still looks up, with a cluster's DNS down for a minute,
    # would have the interpreter wait for it, and the router's Pod be killed.
    last = threading.Timer(LAST, os._exit, (code,))
    last.daemon = True
    last.start()
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=MANAGER,
        description="Gives every opencode session Pod its public hostname: DNS record, tunnel rule, Traefik routes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version(MANAGER)}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("run", help="watch session Pods and serve /healthz (the default)")
    sweep = commands.add_parser(
        "sweep",
        help="look for what is ours and has no Pod",
        description="Finds DNS records, tunnel rules and routes of ours whose session has no Pod.",
    )
    mode = sweep.add_mutually_exclusive_group(required=True)
    mode.add_argument("--dry-run", action="store_true", help="only read, and list what a forced sweep would remove")
    mode.add_argument(
        "--force", action="store_true", help="remove it, without grace time and brake; live Pods are still safe"
    )
    return parser
