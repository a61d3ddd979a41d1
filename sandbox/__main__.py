"""`python -m sandbox`: the demo, or one of the servers alone."""

import argparse
import asyncio
import contextlib
import importlib
import signal
import sys
from collections.abc import Coroutine
from typing import Any

_COMMANDS = {
    "demo": ("sandbox.demo.story", "the whole story: two operators, some sessions, a kill, and what is left"),
    "cloudflare": ("sandbox.cloudflare.server", "a Cloudflare API and its edge"),
    "kubernetes": ("sandbox.kubernetes.server", "a small Kubernetes API"),
}


def main() -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (module, text) in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        # Only what is asked for is imported: a server starts without the other one and without the demo.
        if name in sys.argv[1:2]:
            chosen = importlib.import_module(module)
            chosen.add_arguments(command)
    args = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        return asyncio.run(_served(chosen.serve(args)))
    return 130


async def _served(serving: Coroutine[Any, Any, int | None]) -> int:
    """SIGTERM ends it as Ctrl-C does: whatever was started is stopped."""
    task = asyncio.ensure_future(serving)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task or 0


if __name__ == "__main__":
    sys.exit(main())
