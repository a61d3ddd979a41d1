"""`python -m bench` (`make bench`): measure, and show one table; JSON and a plot if they are asked for."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import bare as floors
from bench.alone import Order, ordered
from bench.figures import OBVIOUS, OPERATOR, SHARE, Figure, Row, floor_of_burst, table
from bench.plot import svg
from bench.process import PERIOD
from bench.run import Run
from tests.controlplane import ControlPlaneUnavailableError
from tests.controlplane.build import find_programs

PLOTTED = 50  # ms, the latency of the plot


def main() -> int:
    """Measure and show; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rows, on the sandbox's Kubernetes API")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows that begin so, as they are told: 'burst, 100'")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every figure, with unit and floor, row by row")
    parser.add_argument("--plot", type=Path, metavar="PATH", help="draw calls against sessions (SVG) at the end")
    args = parser.parse_args()
    _end_as_after_ctrl_c()
    try:
        orders = asyncio.run(_prepared(quick=args.quick, only=args.only))
    except KeyboardInterrupt:
        return 1
    except ControlPlaneUnavailableError as error:
        print(f"no real API server: {error}\nWith QUICK=1 none is needed.", file=sys.stderr)
        return 2
    return _shown(Run(orders, args.json), args.plot)


def _end_as_after_ctrl_c() -> None:
    """Told to end, or left by its terminal, it ends its servers first; under `nohup` it goes on."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


async def _prepared(*, quick: bool, only: str) -> list[Order]:
    """The rows that are meant, once it is told what they are measured on."""
    if quick:
        print("Two rows at a time, and Kubernetes is the sandbox's, not a real API server: trust the counts alone.\n")
    else:
        find_programs()
    bare = await floors.bare()
    print(_ground(bare))
    return [order for order in ordered(bare, quick=quick) if str(order.plan.row).startswith(only)]


def _ground(bare: floors.Bare) -> str:
    # One that was built without optimisation takes up to half as much again for what is pure Python.
    python = f"Python {sys.version} on {os.cpu_count()} cores"
    alone = f"a request through the Kubernetes library alone takes {bare.request * 1000:.2f} ms of CPU"
    event = f"to parse an event of a watch {bare.event * 1000:.3f} ms"
    held = f"stopped (SIGSTOP) whenever it has used more than that of a core, with a period of {PERIOD:g} s"
    return f"{python}; {alone}, {event}.\nAt {SHARE * 1000:.0f} millicores: {held}.\n"


def _shown(run: Run, plot: Path | None) -> int:
    """Measure, and show what was found, however it ended; returns the exit code."""
    try:
        is_complete = asyncio.run(run.measure())
    except KeyboardInterrupt:
        is_complete = False
    # The files first: where the terminal has gone, the table cannot be shown.
    run.save()
    if plot and run.has_all(_is_plotted):
        plot.write_text(_plot(run.figures))
    print(table(run.figures))
    return 0 if is_complete else 1


def _is_plotted(row: Row) -> bool:
    return row.what == "burst" and row.latency == PLOTTED and row.who in (OPERATOR, OBVIOUS)


def _plot(figures: Sequence[Figure]) -> str:
    ours, theirs = (_calls(figures, who) for who in (OPERATOR, OBVIOUS))
    floor = [(sessions, float(floor_of_burst(int(sessions)))) for sessions, _ in ours]
    lines = {"this operator": ours, "the obvious way": theirs, "floor": floor}
    title = f"Cloudflare calls for a burst of sessions, at {PLOTTED} ms"
    return svg(title, {name: points for name, points in lines.items() if points}, across="sessions")


def _calls(figures: Sequence[Figure], who: str) -> list[tuple[float, float]]:
    shown = (f for f in figures if f.name == "Cloudflare calls" and _is_plotted(f.row))
    return sorted((f.row.sessions, f.value) for f in shown if f.row.who == who)


if __name__ == "__main__":
    sys.exit(main())
