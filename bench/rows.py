"""Which rows there are: each opens a ground of its own, so that nothing of one is left in the next.

`__main__` has them measured in this order, each by `alone`, and shows what comes back.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import product
from typing import NamedTuple

from bench import bursts, lives, process
from bench.bare import Bare
from bench.beside import beside
from bench.figures import HELD, NONE_BAD, OBVIOUS, OPERATOR, Figure, Row
from bench.ground import Ground, Open

Measure = Callable[[Ground, Row], Awaitable[list[Figure]]]
Tell = Callable[[list[Figure]], None]
SIZES = (1, 10, 100, 1000, 5000)  # sessions
LATENCIES = (50, 0, 250)  # ms, of Cloudflare


class Plan(NamedTuple):
    """One row, or the life that begins with it, and how its parts are measured."""

    measures: Sequence[Measure]
    row: Row


def quick() -> Iterator[Plan]:
    """What can be said in about a minute, two at a time: the longest first of those that are busy."""
    yield Plan((lives.start,), Row("start", 0, 0))
    yield Plan((bursts.arrival,), Row("arrival", 1, 250))
    yield Plan((bursts.burst,), Row("burst", 10, 50, OBVIOUS))
    yield Plan(lives.LIFE, Row("burst", 100, 50))
    yield Plan((bursts.burst,), Row("burst", 10, 50))
    yield from _neighbours(100, 50)
    yield Plan((bursts.burst,), Row("burst", 1000, 50))


def full() -> Iterator[Plan]:
    """Everything: each row of the operator, the obvious way, and each row once more with the operator held."""
    yield from _operator()
    yield from _obvious()
    for measures, row in _operator():
        yield Plan(measures, replace(row, who=HELD))


def _operator() -> Iterator[Plan]:
    yield Plan((lives.start,), Row("start", 0, 0))
    for latency, size in product(LATENCIES, SIZES):
        yield Plan(lives.LIFE, Row("burst", size, latency))
    for latency, size in product(LATENCIES, (1, 1000)):
        yield Plan((bursts.arrival,), Row("arrival", size, latency))
    yield Plan((bursts.arrival,), Row("arrival", 5000, 250))
    # One in twenty of less than twenty is none.
    for latency, size in product(LATENCIES, (100, 1000)):
        neighbours, alone = _neighbours(size, latency)
        yield from (neighbours, alone)
        yield Plan((bursts.late_neighbours,), replace(neighbours.row, what="5 % names taken late"))


def _neighbours(size: int, latency: int) -> tuple[Plan, Plan]:
    """Good ones among bad ones, and as many alone."""
    row = Row("5 % taken names", size, latency)
    alone = replace(row, what=NONE_BAD, sessions=row.good)
    return Plan((bursts.bad_neighbours,), row), Plan((bursts.burst,), alone)


def _obvious() -> Iterator[Plan]:
    yield Plan((lives.start,), Row("start", 0, 0, OBVIOUS))
    for latency, size in product(LATENCIES, (1, 10, 100)):
        yield Plan((bursts.burst,), Row("burst", size, latency, OBVIOUS))
    # Where most goals are; the others would take half an hour.
    yield Plan((bursts.burst,), Row("burst", 1000, 50, OBVIOUS))
    yield Plan((bursts.arrival,), Row("arrival", 1, 250, OBVIOUS))


async def measure(plan: Plan, open_ground: Open, bare: Bare, tell: Tell) -> None:
    """Part by part: what ends one part takes nothing from those before. A program that ends by itself ends it."""
    async with (
        open_ground(bare, plan.row) as ground,
        beside(ground.alarm),
        process.held(ground.stage.operators) if plan.row.who == HELD else nullcontext(),
    ):
        for part in plan.measures:
            found = await part(ground, plan.row)
            # The goals are those of the operator as it is, unless it is held.
            tell(found if plan.row.who == OPERATOR else [replace(each, goal=None) for each in found])
