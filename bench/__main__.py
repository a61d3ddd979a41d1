"""`python -m bench` (`make bench`): measure, and show one table; JSON and a plot if they are asked for."""

import argparse
import asyncio
import json
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench import process, rows
from bench.compare import compared
from bench.figures import OBVIOUS, OPERATOR, Figure, as_json, floor_of_burst, table
from bench.ground import real, sandboxed
from bench.plot import svg
from tests.controlplane import ControlPlaneUnavailableError
from tests.controlplane.build import find_programs

PLOTTED = 50  # ms, the latency of the plot


def main() -> int:
    """Measure and show; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rows, on the sandbox's Kubernetes API")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows that begin so, as they are told: 'burst, 100'")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every figure, with unit and floor")
    parser.add_argument("--plot", type=Path, metavar="PATH", help="draw calls against sessions (SVG)")
    args = parser.parse_args()
    figures: list[Figure] = []
    # Told to end, it ends its servers first, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        is_complete = asyncio.run(_measure(figures, quick=args.quick, only=args.only))
    except KeyboardInterrupt:
        is_complete = False
    except ControlPlaneUnavailableError as error:
        print(f"no real API server: {error}\nWith QUICK=1 none is needed.", file=sys.stderr)
        return 2
    figures += compared(figures)
    print(table(figures))
    if args.json:
        args.json.write_text(json.dumps(as_json(figures), indent=1) + "\n")
    if args.plot:
        args.plot.write_text(_plot(figures))
    return 0 if is_complete else 1


async def _measure(figures: list[Figure], *, quick: bool, only: str) -> bool:
    """Row by row into `figures`; whether all went well. What ends one row, or all, takes nothing from those before."""
    plans = [plan for plan in (rows.quick if quick else rows.full)() if str(plan.row).startswith(only)]
    if quick:
        print("Kubernetes is the sandbox's, not a real API server: trust counts; times are lower than in production.\n")
    else:
        find_programs()
    begun, bare, is_complete = time.monotonic(), await process.bare(), True
    for number, plan in enumerate(plans, 1):
        print(f"{_since(begun)} {number}/{len(plans)} {plan.row}", file=sys.stderr)
        try:
            await rows.measure(plan, sandboxed if quick else real, bare, figures)
        except Exception:
            traceback.print_exc()
            is_complete = False
    print(_since(begun), file=sys.stderr)
    return is_complete


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
