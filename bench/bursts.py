"""Sessions that come: all at once before the program starts, one after the other, or with bad ones among them.

`rows` calls these with an open ground; each returns its figures. The program is the operator, the operator held back,
or the obvious way.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from bench import process
from bench.beside import beside
from bench.figures import (
    BAD_SHARE,
    GOOD,
    HELD,
    OBVIOUS,
    ONE_AFTER_THE_OTHER,
    OPERATOR,
    REQUESTS,
    Figure,
    Row,
    floor_of_burst,
    floor_of_calls,
    floor_of_work,
    speed,
)
from bench.ground import OPERATOR as OPERATOR_MODULE
from bench.ground import Ground, upkeep
from bench.watching import diary, quantile
from sandbox.operators import Replica
from sandbox.stage import DOMAIN, SUFFIX

MODULES = {OPERATOR: OPERATOR_MODULE, HELD: OPERATOR_MODULE, OBVIOUS: "bench.afternoon"}
ARRIVAL = 60.0  # seconds over which sessions arrive
# Goals; None where there is none.
CALLS = {1: 5, 10: 7, 100: 7, 1000: 14}  # of a burst
BUDGET = 500  # calls of an arrival: what a new leader may send in these minutes
MOST_CPU = 15.0  # ms per session, at 1,000
MOST_MEMORY = 128.0  # MiB, up to 1,000
MOST_WAIT = 4.0  # seconds to Ready for 95 % of those that arrive within a minute
ALONE = 1.25  # times the floor: to Ready for one that comes alone
FAR = 250  # ms, where both goals are: nearer, most of one that comes alone is CPU


@dataclass(frozen=True)
class Begun:
    """A program that has made its first call to Cloudflare."""

    replica: Replica
    at: float  # loop time of its start
    seconds: float  # until that call
    cpu: float  # seconds of CPU until then


def names(count: int, first: int = 0) -> list[str]:
    """So many session hashes."""
    return [f"{first + number:012x}" for number in range(count)]


async def begin(ground: Ground, name: str, module: str = OPERATOR_MODULE, **changes: str) -> Begun:
    """Start a program and wait for its first call to Cloudflare."""
    loop, before = asyncio.get_running_loop(), ground.cloudflare.total
    at = loop.time()
    replica = await ground.start(name, module, **changes)
    await ground.until(lambda: ground.cloudflare.total > before)
    return Begun(replica, at, loop.time() - at, process.cpu(replica))


async def burst(ground: Ground, row: Row) -> list[Figure]:
    """All Pods are there when the program starts."""
    sessions = names(row.sessions)
    await ground.create(sessions)
    async with diary(ground) as book:
        await ground.until(lambda: len(book.seen) == row.sessions)
        begun = await begin(ground, "first", MODULES[row.who])
        await book.until_ready(sessions)
        await book.until_quiet()
        waits = _waits(ground, row, book.waited(dict.fromkeys(sessions, begun.at)))
        goal = CALLS.get(row.sessions)
        return [*await _calls(ground, row, goal), *waits, *_spent(ground, row, begun)]


async def arrival(ground: Ground, row: Row) -> list[Figure]:
    """Sessions come within a minute to an operator that is there; seconds count from the request for each one's Pod."""
    sessions, asked_for = names(row.sessions), dict[str, float]()

    async def arrive() -> None:
        clock = asyncio.get_running_loop().time
        since = clock()
        async with asyncio.TaskGroup() as creations:
            for number, session in enumerate(sessions):
                await asyncio.sleep(since + number * ARRIVAL / row.sessions - clock())
                asked_for[session] = clock()
                creations.create_task(ground.create([session]))

    async with diary(ground) as book:
        begun = await begin(ground, "first", MODULES[row.who])
        await book.until_quiet()
        async with beside(arrive):
            await book.until_ready(sessions)
        await book.until_quiet()
        waits = _waits_of_arrival(ground, row, book.waited(asked_for))
        goal = BUDGET if row.sessions == 1000 else None
        return [*await _calls(ground, row, goal), *waits, *_spent(ground, row, begun)]


async def bad_neighbours(ground: Ground, row: Row) -> list[Figure]:
    """One session in twenty has a name that is somebody else's: known when the operator looks at the zone."""
    bad = _bad(names(row.sessions))
    _take(ground, bad)
    return await _with_bad(ground, row, bad, late=False)


async def late_neighbours(ground: Ground, row: Row) -> list[Figure]:
    """The same, but somebody takes the names after the operator has looked: Cloudflare refuses whole batches."""
    return await _with_bad(ground, row, _bad(names(row.sessions)), late=True)


async def _with_bad(ground: Ground, row: Row, bad: Sequence[str], *, late: bool) -> list[Figure]:
    sessions = names(row.sessions)
    good = sorted(set(sessions) - set(bad))
    await ground.create(sessions)
    async with diary(ground) as book:
        begun = await begin(ground, "first")
        if late:
            await ground.until(lambda: _has_listed(ground))
            _take(ground, bad)
        await book.until_ready(good)
        await book.until_quiet()
        waits = _waits(ground, row, book.waited(dict.fromkeys(good, begun.at)), whose=GOOD)
        return [*await _calls(ground, row), *waits, *_spent(ground, row, begun)]


def _bad(sessions: Sequence[str]) -> list[str]:
    return list(sessions[::BAD_SHARE])


def _take(ground: Ground, sessions: Sequence[str]) -> None:
    """Somebody else's records at the names of these sessions."""
    for session in sessions:
        record = {"type": "A", "name": f"{session}{SUFFIX}.{DOMAIN}", "content": "192.0.2.9", "ttl": 300}
        ground.cloudflare.world.records.create(record, "2026-01-01T00:00:00Z")


def _has_listed(ground: Ground) -> bool:
    return any(call.path.endswith("/dns_records") and call.status for call in ground.cloudflare.calls)


async def _calls(ground: Ground, row: Row, goal: float | None = None) -> list[Figure]:
    """What both were asked; Kubernetes for the sessions, and for its upkeep, which takes as long as it takes."""
    asked = await ground.asked()
    always = upkeep(asked).total()
    each, floor = (asked.total() - always) / row.sessions, REQUESTS * row.good / row.sessions
    return [
        Figure(row, "Cloudflare calls", ground.cloudflare.total, "calls", floor_of_burst(row.good), goal),
        Figure(row, "Kubernetes calls per session", each, "calls", floor, 9),
        Figure(row, "Kubernetes calls for watches and the lease", always, "calls"),
    ]


def _waits(ground: Ground, row: Row, waited: Sequence[float], whose: str = "") -> list[Figure]:
    """From the start of the process: its imports, Cloudflare's calls one after the other, the work for so many."""
    start = ground.bare.cpu / speed(row) + floor_of_calls(row, ONE_AFTER_THE_OTHER)
    return [
        Figure(row, f"{whose}to Ready, {name}", quantile(waited, q), "s", start + _work(ground, row, q * row.good))
        for name, q in _quantiles(row)
    ]


def _waits_of_arrival(ground: Ground, row: Row, waited: Sequence[float]) -> list[Figure]:
    """From the Pod's POST: the batch and the PUT, which comes when the record's state is written; the work."""
    floor = floor_of_calls(row, 2) + _work(ground, row, 1)
    goals = {1: {"max": ALONE * floor}, 1000: {"p95": MOST_WAIT}}.get(row.sessions, {}) if row.latency == FAR else {}
    return [
        Figure(row, f"to Ready, {name}", quantile(waited, q), "s", floor, goals.get(name))
        for name, q in _quantiles(row)
    ]


def _spent(ground: Ground, row: Row, begun: Begun) -> list[Figure]:
    """What the process took."""
    many = row.sessions >= 100
    spent, weight = process.cpu(begun.replica) - begun.cpu, process.memory(begun.replica)
    memory = MOST_MEMORY if row.sessions <= 1000 else None
    found = [
        Figure(row, "memory at most", weight.most, "MiB", ground.bare.memory, memory),
        Figure(row, "memory afterwards", weight.now, "MiB", ground.bare.memory),
    ]
    if many:
        # Below a hundred the start and the looks are most of it.
        goal = MOST_CPU if row.sessions >= 1000 else None
        floor = REQUESTS * row.good / row.sessions * ground.bare.request * 1000
        found.append(Figure(row, "CPU per session", spent / row.sessions * 1000, "ms", floor, goal))
    return found


def _work(ground: Ground, row: Row, sessions: float) -> float:
    return floor_of_work(row, REQUESTS * sessions, ground.bare.request)


def _quantiles(row: Row) -> Sequence[tuple[str, float]]:
    return ((("p50", 0.5), ("p95", 0.95)) if row.sessions > 1 else ()) + (("max", 1.0),)
