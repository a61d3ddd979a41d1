"""`python -m bench` (`make bench`): measure, and show one table; JSON and a plot if they are asked for."""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench import bare as floors
from bench.alone import Order, measured, ordered
from bench.compare import compared
from bench.figures import HELD, OBVIOUS, OPERATOR, Figure, as_json, floor_of_burst, table
from bench.plot import svg
from tests.controlplane import ControlPlaneUnavailableError
from tests.controlplane.build import find_programs

PLOTTED = 50  # ms, the latency of the plot
HELD_AT_ONCE = 2  # rows: an operator with a fifth of a core keeps its servers busy for less than a core


def main() -> int:
    """Measure and show; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rows, on the sandbox's Kubernetes API")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows that begin so, as they are told: 'burst, 100'")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every figure, with unit and floor")
    parser.add_argument("--plot", type=Path, metavar="PATH", help="draw calls against sessions (SVG) when all is done")
    args = parser.parse_args()
    found: dict[int, list[Figure]] = {}
    # Told to end, it ends its servers first, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        is_complete = asyncio.run(_measure(found, quick=args.quick, only=args.only))
    except KeyboardInterrupt:
        is_complete = False
    except ControlPlaneUnavailableError as error:
        print(f"no real API server: {error}\nWith QUICK=1 none is needed.", file=sys.stderr)
        return 2
    figures = [figure for number in sorted(found) for figure in found[number]]
    figures += compared(figures)
    print(table(figures))
    if args.json:
        args.json.write_text(json.dumps(as_json(figures), indent=1) + "\n")
    if args.plot and is_complete:
        args.plot.write_text(_plot(figures))
    return 0 if is_complete else 1


async def _measure(found: dict[int, list[Figure]], *, quick: bool, only: str) -> bool:
    """Each plan's figures into `found`; whether all went well. What ends one, or all, takes nothing from the others."""
    if quick:
        print("Kubernetes is the sandbox's, not a real API server: trust counts; times are lower than in production.\n")
    else:
        find_programs()
    begun, bare, went_well = time.monotonic(), await floors.bare(), True
    print(_ground(bare))
    orders = [order for order in ordered(bare, quick=quick) if str(order.plan.row).startswith(only)]

    async def one(order: Order, turns: asyncio.Semaphore) -> bool:
        async with turns:
            figures = found[order.number] = []
            print(f"{_since(begun)} {len(found)}/{len(orders)} {order.plan.row}", file=sys.stderr)
            return await measured(order, figures)

    for is_held, at_once in ((False, 1), (True, HELD_AT_ONCE)):
        turns = asyncio.Semaphore(at_once)
        part = (one(order, turns) for order in orders if (order.plan.row.who == HELD) == is_held)
        went_well &= all(await asyncio.gather(*part))
    print(_since(begun), file=sys.stderr)
    return went_well


def _ground(bare: floors.Bare) -> str:
    # One that was built without optimisation takes up to half as much again for what is pure Python.
    request = f"a request through the Kubernetes library alone takes {bare.request * 1000:.2f} ms of CPU"
    return f"Python {sys.version} on {os.cpu_count()} cores; {request}.\n"


def _since(begun: float) -> str:
    minutes, seconds = divmod(int(time.monotonic() - begun), 60)
    return f"{minutes:02}:{seconds:02}"


def _plot(figures: Sequence[Figure]) -> str:
    ours, theirs = (_calls(figures, who) for who in (OPERATOR, OBVIOUS))
    floor = [(sessions, float(floor_of_burst(int(sessions)))) for sessions, _ in ours]
    lines = {"this operator": ours, "the obvious way": theirs, "floor": floor}
    title = f"Cloudflare calls for a burst of sessions, at {PLOTTED} ms"
    return svg(title, {name: points for name, points in lines.items() if points}, across="sessions")


def _calls(figures: Iterable[Figure], who: str) -> list[tuple[float, float]]:
    shown = (f for f in figures if f.name == "Cloudflare calls" and f.row.what == "burst")
    return sorted((f.row.sessions, f.value) for f in shown if f.row.who == who and f.row.latency == PLOTTED)


if __name__ == "__main__":
    sys.exit(main())
