"""What an operator costs whose sessions are there already: at rest, after a restart, at their end, after a failure.

`rows` calls these; each returns its figures.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import Mapping

from bench import process
from bench.bursts import MODULES, begin, burst, names
from bench.figures import (
    ONE_AFTER_THE_OTHER,
    Figure,
    Row,
    batches,
    floor_of_calls,
    floor_of_work,
    speed,
)
from bench.ground import Ground
from bench.watching import diary, until
from sandbox.operators import Replica

HOUR = 60  # rounds: each session is touched once a minute, and each minute has its look
TOUCHES_PER_SECOND = 100  # that the held operator takes, too, beside the looks
SETTLING = 2  # rounds after a start that are not watched: memory and caches are still growing
SHORT_LEASE = 5  # seconds, instead of 15
IDLE_MEMORY = 80.0  # MiB
READ_CPU = 0.000_1  # seconds of CPU for one event of a watch: read, parsed, compared


async def start(ground: Ground, row: Row) -> list[Figure]:
    """CPU until the first call to Cloudflare; the middle of some, after one that compiled the bytecode."""
    spent = []
    for number in range(ground.depth.starts + 1):
        begun = await begin(ground, f"start-{number}", MODULES[row.who])
        spent.append((begun.cpu, begun.seconds, process.memory(begun.replica).now))
        await begun.replica.stop()
    cpu, seconds, memory = sorted(spent[1:])[ground.depth.starts // 2]
    return [
        Figure(row, "CPU to the first call", cpu, "s", ground.bare.cpu, 1.2),
        Figure(row, "time to the first call", seconds, "s", ground.bare.cpu / speed(row)),
        Figure(row, "memory at the first call", memory, "MiB", ground.bare.memory, IDLE_MEMORY),
    ]


async def life(ground: Ground, row: Row) -> list[Figure]:
    """A burst, then rest, restarts, and the end of all sessions."""
    found = await burst(ground, row)
    await _stop_all(ground)
    found += await _idle(ground, _as(row, "idle"))
    found += await _restarts(ground, row)
    return found + await _teardown(ground, _as(row, "teardown"))


async def burst_and_restart(ground: Ground, row: Row) -> list[Figure]:
    """The two that matter most, for many sessions."""
    return await burst(ground, row) + await _restarts(ground, row)


async def failover(ground: Ground, row: Row) -> list[Figure]:
    """Two replicas, one ends: seconds until the other writes for a session that comes in that moment."""
    await begin(ground, "a", LEASE_DURATION=str(SHORT_LEASE))
    found = []
    for (how, number, lease, goal), name in zip(ENDS, ("b", "c"), strict=True):
        await ground.start(name, LEASE_DURATION=str(SHORT_LEASE))
        await asyncio.sleep(ground.depth.quiet)  # until its caches are full
        leader = ground.stage.operators[-2]
        seconds = await _after_the_end(ground, leader, number, names(1, first=ord(name))[0])
        # Zone, list and batch follow each other.
        found.append(Figure(row, f"first write after {how}", seconds, "s", lease + floor_of_calls(row, 3), goal))
    return found


# What the lease still runs at least: it was renewed 2/15 of its duration before at most.
LEFT = SHORT_LEASE * (1 - 2 / 15)
ENDS = (("kill -9", signal.SIGKILL, LEFT, SHORT_LEASE + 2.0), ("SIGTERM", signal.SIGTERM, 0.0, 2.0))


async def _after_the_end(ground: Ground, leader: Replica, number: signal.Signals, session: str) -> float:
    clock = asyncio.get_running_loop().time
    board = ground.cloudflare
    board.forget_calls()
    since = clock()
    leader.send(number)
    await ground.kube.create_session(session)
    await until(lambda: any(call.method == "POST" for call in board.calls))
    return clock() - since


async def _idle(ground: Ground, row: Row) -> list[Figure]:
    """Some minutes of the hour, shortened by setting: as many looks, each session touched as often, but in seconds."""
    minutes = min(ground.depth.minutes, max(4, ground.depth.minutes * 100 // row.sessions))
    interval = max(1.0, row.sessions / TOUCHES_PER_SECOND)
    begun = await begin(ground, "idle", RESYNC_INTERVAL=f"{interval:g}")
    await _minutes(ground, row, SETTLING)
    before, cpu, weight = await _counts(ground), process.cpu(begun.replica), process.memory(begun.replica)
    looks = _looks(ground)
    await _minutes(ground, row, minutes)
    asked, looks = await _counts(ground) - before, _looks(ground) - looks
    spent, drift = process.cpu(begun.replica) - cpu, process.memory(begun.replica).now - weight.now
    floor = HOUR * row.sessions * READ_CPU
    return [
        Figure(row, "Cloudflare calls per resync", _cloudflare(asked) / looks, "calls", 2, 3),
        Figure(row, "Kubernetes writes but the lease", _written(asked), "calls", 0, 0),
        Figure(row, f"CPU per hour (from {minutes} minutes)", spent / minutes * HOUR, "s", floor),
        Figure(row, f"memory drift in {minutes} minutes", drift * 1024, "KiB", 0),
    ]


async def _minutes(ground: Ground, row: Row, count: int) -> None:
    """So many times: each session is touched by the router, and there is a look."""
    for number in range(count):
        await asyncio.gather(ground.touch(names(row.sessions), str(number)), _rounds(ground, 1))


async def _restarts(ground: Ground, row: Row) -> list[Figure]:
    """One to count calls, one with a session that comes meanwhile."""
    await _stop_all(ground)
    found = await _restart(ground, _as(row, "restart"))
    await _stop_all(ground)
    return [*found, await _newcomer(ground, _as(row, "restart"))]


async def _restart(ground: Ground, row: Row) -> list[Figure]:
    before = await _counts(ground)
    async with diary(ground) as book:
        await begin(ground, "again")
        await book.until_quiet()
    asked = await _counts(ground) - before
    return [
        Figure(row, "Cloudflare calls", _cloudflare(asked), "calls", 3, 4),
        Figure(row, "Pod patches", asked["PATCH pods/status"], "calls", 0, 0),
        Figure(row, "route writes", asked["PATCH ingressroutes"] + asked["DELETE ingressroutes"], "calls", 0, 0),
    ]


async def _newcomer(ground: Ground, row: Row) -> Figure:
    """Until the first new session is Ready, from the start of the process; it exists by then."""
    new = names(1, first=row.sessions)
    await ground.create(new)
    async with diary(ground) as book:
        begun = await begin(ground, "once-more")
        await book.until_ready(new)
    [seconds] = book.waited(new, since=begun.at)
    floor = ground.bare.cpu / speed(row) + floor_of_calls(row, ONE_AFTER_THE_OTHER + 1) + floor_of_work(row, 1)
    return Figure(row, "until a new session is Ready", seconds, "s", floor)


async def _teardown(ground: Ground, row: Row) -> list[Figure]:
    before, clock = await _counts(ground), asyncio.get_running_loop().time
    sessions = row.sessions + 1  # with the newcomer
    since = clock()
    await ground.delete(names(sessions))
    async with diary(ground) as book:
        await until(lambda: not ground.of_sessions(), every=0.1)
        seconds = clock() - since
        await book.until_quiet()
    asked = await _counts(ground) - before
    kubernetes = asked.total() - _cloudflare(asked)
    # PUT (the document may be that of the last look) and the batches follow each other; two of eight requests.
    calls = 1 + batches(sessions)
    floor = floor_of_calls(row, calls) + floor_of_work(row, sessions) * 2 / 8
    return [
        Figure(row, "Cloudflare calls", _cloudflare(asked), "calls", calls),
        Figure(row, "Kubernetes calls per session", kubernetes / sessions, "calls", 2),
        Figure(row, "until nothing is left", seconds, "s", floor),
    ]


def _as(row: Row, what: str) -> Row:
    return Row(what, row.sessions, row.latency, row.who)


async def _stop_all(ground: Ground) -> None:
    for replica in ground.stage.operators:
        if replica.is_running:
            await replica.stop()


async def _rounds(ground: Ground, count: int) -> None:
    """Return after so many more looks at the tunnel."""
    before = _looks(ground)
    await until(lambda: _looks(ground) >= before + count)


def _looks(ground: Ground) -> int:
    counts: Mapping[str, int] = ground.cloudflare.counts
    return sum(number for kind, number in counts.items() if kind.startswith("GET") and kind.endswith("configurations"))


async def _counts(ground: Ground) -> Counter[str]:
    """What has been asked so far, of both."""
    return await ground.asked() + Counter({f"Cloudflare {kind}": n for kind, n in ground.cloudflare.counts.items()})


def _cloudflare(asked: Counter[str]) -> int:
    return sum(number for kind, number in asked.items() if kind.startswith("Cloudflare"))


def _written(asked: Counter[str]) -> int:
    return sum(number for kind, number in asked.items() if kind.startswith(("PATCH", "POST", "PUT", "DELETE")))
