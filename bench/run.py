"""All rows of one run, and what is known of them by now: two hours of figures must not live in one process alone.

`__main__` has them measured here, each by `alone`, and shows what was found, however the run ended.
"""

import asyncio
import json
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.alone import Order, measured
from bench.compare import compared
from bench.figures import HELD, Figure, Row, as_json

# Rows, where it does no harm: an operator with a fifth of a core keeps its servers busy for less than a core, and of a
# quick run nobody should trust the times.
AT_ONCE = 2

Measured = Callable[[Order, list[Figure]], Awaitable[bool]]


class Run:
    """The rows of `orders`; after each one all figures are written to `path`."""

    def __init__(self, orders: Sequence[Order], path: Path | None, measure: Measured = measured) -> None:
        self._orders = orders
        self._is_quick = any(order.quick for order in orders)
        self._path = path
        self._measure = measure
        self._found: dict[int, list[Figure]] = {}
        self._begun = time.monotonic()

    @property
    def figures(self) -> list[Figure]:
        """What was measured, in the order of the rows, and what follows from it."""
        figures = [figure for number in sorted(self._found) for figure in self._found[number]]
        figures += compared(figures)
        return [_counted(figure) for figure in figures] if self._is_quick else figures

    def has_all(self, is_meant: Callable[[Row], bool]) -> bool:
        """Whether something was measured of each of these rows."""
        return {order.plan.row for order in self._orders if is_meant(order.plan.row)} <= {
            figure.row for found in self._found.values() for figure in found
        }

    def save(self) -> None:
        """Write what there is."""
        if self._path:
            self._path.write_text(json.dumps(as_json(self.figures), indent=1) + "\n")

    async def measure(self) -> bool:
        """Whether all went well. What ends one row, or all of it, takes nothing from the others."""
        went_well = True
        for is_held in (False, True):
            part = [order for order in self._orders if (order.plan.row.who == HELD) == is_held]
            turns = asyncio.Semaphore(AT_ONCE if is_held or self._is_quick else 1)
            went_well &= all(await asyncio.gather(*(self._one(order, turns) for order in part)))
        self._tell("done")
        return went_well

    async def _one(self, order: Order, turns: asyncio.Semaphore) -> bool:
        async with turns:
            figures = self._found[order.number] = []
            self._tell(f"{len(self._found)}/{len(self._orders)} {order.plan.row}")
            # Before its first figure it may have been the servers that did not come up: once more.
            went_well = await self._went_well(order, figures) or (not figures and await self._went_well(order, figures))
            self.save()
            return went_well

    async def _went_well(self, order: Order, figures: list[Figure]) -> bool:
        try:
            went_well = await self._measure(order, figures)
        except Exception:
            traceback.print_exc()
            went_well = False
        if not went_well:
            self._tell(f"failed: {order.plan.row}")
        return went_well

    def _tell(self, news: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._begun), 60)
        print(f"{minutes:02}:{seconds:02} {news}", file=sys.stderr)


def _counted(figure: Figure) -> Figure:
    """What a quick run can say of it: whether a goal is met of what does not depend on who else is at work."""
    return figure if figure.unit in ("calls", "MiB") else replace(figure, goal=None)
