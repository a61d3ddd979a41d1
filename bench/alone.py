"""A plan in a process of its own, so that neither what it left in memory nor its load is in the next one's figures.

`__main__` has all of them measured here, the held ones side by side; each tells its figures as it finds them, a line of
JSON for each.
"""

import asyncio
import json
import signal
import sys
from contextlib import suppress
from typing import NamedTuple

from bench import rows
from bench.bare import Bare
from bench.figures import Figure, as_json, from_json
from bench.ground import real, sandboxed


class Order(NamedTuple):
    """The plan of this number, among the quick ones or all."""

    quick: bool
    number: int
    bare: Bare

    @property
    def plan(self) -> rows.Plan:
        return _plans(quick=self.quick)[self.number]


def ordered(bare: Bare, *, quick: bool) -> list[Order]:
    """All of them."""
    return [Order(quick, number, bare) for number in range(len(_plans(quick=quick)))]


def _plans(*, quick: bool) -> list[rows.Plan]:
    return list(rows.quick() if quick else rows.full())


async def measured(order: Order, figures: list[Figure]) -> bool:
    """Figure by figure into `figures`; whether all went well. Cancelled, it waits until its servers have ended."""
    # A session of its own: the Ctrl-C of a terminal reaches it once, from here.
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.alone", json.dumps(order)),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert program.stdout
    try:
        await _read(program.stdout, figures)
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            program.send_signal(signal.SIGTERM)
        await _read(program.stdout, figures)
        raise
    finally:
        code = await program.wait()
    return code == 0


async def _read(lines: asyncio.StreamReader, figures: list[Figure]) -> None:
    async for line in lines:
        figures.append(from_json(json.loads(line)))  # noqa: PERF401  # one by one: what is told by then is not lost


def main(text: str) -> int:
    """Measure what is ordered (an `Order` as JSON); returns the exit code."""
    quick, number, bare = json.loads(text)
    order = Order(quick, number, Bare(*bare))
    # Told to end, it ends its servers first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        asyncio.run(rows.measure(order.plan, sandboxed if quick else real, order.bare, _tell))
        return 0
    return 1


def _tell(figures: list[Figure]) -> None:
    for flat in as_json(figures):
        print(json.dumps(flat), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
