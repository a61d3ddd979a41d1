"""Which rows there are: each opens a ground of its own, so that nothing of one is left in the next.

`__main__` runs them in this order and shows what comes back.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import NamedTuple

from bench import bursts, lives, process
from bench.figures import HELD, OBVIOUS, OPERATOR, Figure, Row
from bench.ground import Ground, Open
from bench.process import Bare

Measure = Callable[[Ground, Row], Awaitable[list[Figure]]]


class Plan(NamedTuple):
    """One row and how it is measured."""

    measure: Measure
    row: Row


def quick() -> Iterator[Plan]:
    """What can be said in a minute or so."""
    yield Plan(lives.start, Row("start", 0, 0))
    yield Plan(bursts.arrival, Row("arrival", 1, 250))
    yield Plan(bursts.burst, Row("burst", 10, 50, OBVIOUS))
    yield Plan(bursts.burst, Row("burst", 10, 50))
    yield Plan(lives.life, Row("burst", 100, 50))
    yield Plan(bursts.bad_neighbours, Row("5 % taken names", 100, 50))
    yield Plan(lives.failover, Row("failover", 1, 50))
    yield Plan(bursts.burst, Row("burst", 1000, 50))


def full() -> Iterator[Plan]:
    """Everything: about half an hour."""
    yield Plan(lives.start, Row("start", 0, 0))
    yield from _bursts()
    for size in (1, 1000):
        yield Plan(bursts.arrival, Row("arrival", size, 250))
    yield Plan(bursts.bad_neighbours, Row("5 % taken names", 1000, 50))
    yield Plan(bursts.late_neighbours, Row("5 % names taken late", 1000, 50))
    yield Plan(lives.failover, Row("failover", 1, 50))
    yield from _obvious()
    yield from _held()


def _bursts() -> Iterator[Plan]:
    for size in (1, 10):
        yield Plan(bursts.burst, Row("burst", size, 50))
    for size in (100, 1000):
        yield Plan(lives.life, Row("burst", size, 50))
    yield Plan(lives.burst_and_restart, Row("burst", 5000, 50))
    for latency in (0, 250):
        for size in (1, 100, 1000):
            yield Plan(bursts.burst, Row("burst", size, latency))


def _obvious() -> Iterator[Plan]:
    yield Plan(lives.start, Row("start", 0, 0, OBVIOUS))
    # Four calls for each session: three hundred would be the end of the token's limit.
    for size in (1, 10, 100):
        yield Plan(bursts.burst, Row("burst", size, 50, OBVIOUS))
    for latency in (0, 250):
        yield Plan(bursts.burst, Row("burst", 1, latency, OBVIOUS))
    yield Plan(bursts.arrival, Row("arrival", 1, 250, OBVIOUS))


def _held() -> Iterator[Plan]:
    yield Plan(lives.start, Row("start", 0, 0, HELD))
    for size in (1, 10):
        yield Plan(bursts.burst, Row("burst", size, 50, HELD))
    for size in (100, 1000):
        yield Plan(lives.life, Row("burst", size, 50, HELD))
    for size in (1, 1000):
        yield Plan(bursts.arrival, Row("arrival", size, 250, HELD))
    yield Plan(bursts.bad_neighbours, Row("5 % taken names", 1000, 50, HELD))
    yield Plan(lives.failover, Row("failover", 1, 50, HELD))


async def measured(plan: Plan, open_ground: Open, bare: Bare) -> list[Figure]:
    """One row's figures."""
    async with open_ground(bare) as ground:
        ground.cloudflare.latency = plan.row.latency / 1000
        async with process.held(ground.stage.operators) if plan.row.who == HELD else nullcontext():
            figures = await plan.measure(ground, plan.row)
    # The goals are those of the operator as it is, unless it is held.
    return figures if plan.row.who == OPERATOR else [replace(figure, goal=None) for figure in figures]
