"""Which rows there are: each opens a ground of its own, so that nothing of one is left in the next.

`__main__` runs them in this order and shows what comes back.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

from bench import bursts, lives
from bench.figures import HELD, OBVIOUS, Figure, Row
from bench.ground import Ground, Open

LATENCIES = (0, 50, 250)  # ms
SIZES = (1, 10, 100, 1000)
MOST = 5000
OBVIOUS_MOST = 100  # sessions: it takes a second for each

Measure = Callable[[Ground, Row], Awaitable[list[Figure]]]


class Plan(NamedTuple):
    """One row and how it is measured."""

    measure: Measure
    row: Row


def quick() -> Iterator[Plan]:
    """What can be said in a minute or two."""
    yield Plan(lives.start, Row("start", 0, 0))
    yield Plan(bursts.burst, Row("burst", 1, 250))
    yield Plan(bursts.arrival, Row("arrival", 1, 250))
    yield Plan(bursts.burst, Row("burst", 10, 50, OBVIOUS))
    yield Plan(bursts.burst, Row("burst", 10, 50))
    yield Plan(lives.life, Row("burst", 100, 50))
    yield Plan(bursts.burst, Row("burst", 1000, 50))
    yield Plan(bursts.bad_neighbours, Row("5 % taken names", 100, 50))
    yield Plan(lives.failover, Row("failover", 1, 50))


def full() -> Iterator[Plan]:
    """Everything: about half an hour."""
    yield Plan(lives.start, Row("start", 0, 0))
    for latency in LATENCIES:
        for size in SIZES:
            if size <= OBVIOUS_MOST:
                yield Plan(bursts.burst, Row("burst", size, latency, OBVIOUS))
            in_depth = latency == 50 and size >= 100
            yield Plan(lives.life if in_depth else bursts.burst, Row("burst", size, latency))
    yield Plan(bursts.burst, Row("burst", MOST, 50))
    for size in SIZES:
        yield Plan(bursts.burst, Row("burst", size, 50, HELD))
    for size in (1, 1000):
        yield Plan(bursts.arrival, Row("arrival", size, 250))
    yield Plan(bursts.bad_neighbours, Row("5 % taken names", 1000, 50))
    yield Plan(bursts.late_neighbours, Row("5 % names taken late", 1000, 50))
    yield Plan(lives.failover, Row("failover", 1, 50))


async def measured(plan: Plan, open_ground: Open) -> list[Figure]:
    """One row's figures."""
    async with open_ground() as ground:
        ground.cloudflare.latency = plan.row.latency / 1000
        return await plan.measure(ground, plan.row)
