"""`python -m sandbox`: the demo, or one of the servers alone."""

import argparse
import asyncio
import contextlib
import importlib
import sys

_COMMANDS = {
    "demo": ("sandbox.demo.story", "the whole story: two operators, some sessions, a kill, and what is left"),
    "cloudflare": ("sandbox.cloudflare.server", "a Cloudflare API and its edge"),
    "kubernetes": ("sandbox.kubernetes.server", "a small Kubernetes API"),
}


def main() -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    modules = {name: importlib.import_module(module) for name, (module, _) in _COMMANDS.items()}
    for name, (_, text) in _COMMANDS.items():
        modules[name].add_arguments(commands.add_parser(name, help=text, description=modules[name].__doc__))
    args = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(modules[args.command].serve(args)) or 0
    return 130


if __name__ == "__main__":
    sys.exit(main())
