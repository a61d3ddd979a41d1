"""What an operator costs whose sessions are there already: at rest, after a restart, a failover, at their end.

`rows` calls these, most of them one after the other as the `LIFE` of the same sessions; each returns its figures.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from bench import process
from bench.bursts import MODULES, begin, burst, names
from bench.figures import (
    ONE_AFTER_THE_OTHER,
    REQUESTS,
    Figure,
    Row,
    batches,
    floor_of_calls,
    floor_of_look,
    floor_of_work,
    speed,
)
from bench.ground import AS_SHIPPED, Ground, upkeep
from bench.watching import diary, troubles
from k8s.elector import RETRY

HOUR = 60  # rounds: each session is touched once a minute, and each minute has its look
WHOLE_HOUR_AT = 50  # ms of Cloudflare's latency: at the others rest differs only in how long a look takes
TOUCHES_PER_SECOND = 200  # that the held operator takes, too, beside the looks
SETTLING = 2  # rounds after a start that are not watched: memory and caches are still growing
LAST_EVENT = 1.0  # seconds within which the Event of a session that is Ready is out
AFTER_KILL, AFTER_SIGTERM = 2.0, 2.0  # goals, seconds: to the first write, once the lease is over
NEWCOMERS = 3  # sessions of a life that come after the burst: one to a restarted operator, one at each leader's end
IDLE_MEMORY = 80.0  # MiB
LAST_REQUESTS = 3  # to Kubernetes at a session's end: TearingDown is written on its Pod, and two routes go
LATE = 1.2  # times its pause, that a leader takes at most from one renewal of its lease to the next


async def start(ground: Ground, row: Row) -> list[Figure]:
    """CPU until the first call to Cloudflare; the middle of some, after one that compiled the bytecode."""
    spent = []
    for number in range(ground.depth.starts + 1):
        begun = await begin(ground, f"start-{number}", MODULES[row.who])
        spent.append((begun.cpu, begun.seconds, process.memory(begun.replica).now))
        await ground.stop_all()
    cpu, seconds, memory = sorted(spent[1:])[ground.depth.starts // 2]
    return [
        Figure(row, "CPU to the first call", cpu, "s", ground.bare.cpu, 1.2),
        Figure(row, "time to the first call", seconds, "s", ground.bare.cpu / speed(row)),
        Figure(row, "memory at the first call", memory, "MiB", ground.bare.memory, IDLE_MEMORY),
    ]


async def idle(ground: Ground, burst_row: Row) -> list[Figure]:
    """Some minutes of the hour, shortened by setting: as many looks, each session touched as often, but in seconds."""
    row = replace(burst_row, what="idle")
    # What goes on between two looks at its own pace cannot be shortened with the minutes.
    always = await _share_between_looks(ground)
    await ground.stop_all()
    minutes = min(ground.depth.minutes, _watched(row))
    interval = max(1.0, row.sessions / TOUCHES_PER_SECOND)
    begun = await begin(ground, "idle", RESYNC_INTERVAL=f"{interval:g}")
    await _minutes(ground, row, SETTLING, interval)
    before, cpu, weight = await _counts(ground), process.cpu(begun.replica), process.memory(begun.replica)
    clock = asyncio.get_running_loop().time
    since = clock()
    await _minutes(ground, row, minutes, interval)
    due = resyncs_due(row, clock() - since, interval)
    asked = await _counts(ground) - before
    spent, after = process.cpu(begun.replica) - cpu, process.memory(begun.replica)
    hour = spent / minutes * HOUR + always * 3600
    floor = HOUR * row.sessions * ground.bare.event + 3600 / float(AS_SHIPPED["LEASE_DURATION"]) * ground.bare.request
    memory_goal = IDLE_MEMORY if row.sessions == 1 else None
    return [
        Figure(row, "Cloudflare calls per resync", _cloudflare(asked) / due, "calls", floor_of_look(row.sessions), 3),
        Figure(row, "Kubernetes writes but the lease", _written(asked), "calls", 0, 0),
        Figure(row, "Kubernetes calls a minute but lease and watches", _for_sessions(asked) / minutes, "calls", 0),
        Figure(row, f"CPU per hour (from {minutes} minutes)", hour, "s", floor),
        Figure(row, "memory", after.now, "MiB", ground.bare.memory, memory_goal),
        Figure(row, f"memory drift in {minutes} minutes", (after.now - weight.now) * 1024, "KiB", 0),
    ]


def _watched(row: Row) -> int:
    """Minutes of the hour: their touches take as long as they take, 5,000 sessions 25 minutes for all of it."""
    if row.latency == WHOLE_HOUR_AT:
        return HOUR if row.sessions <= 1000 else HOUR // 5
    return 6


def resyncs_due(row: Row, seconds: float, interval: float) -> float:
    """How many in so many seconds, whatever was asked: from one look's end to the next look is the interval, and the
    pages of a list follow each other."""
    pages = floor_of_look(row.sessions) - 1
    return seconds / (interval + floor_of_calls(row, pages))


async def _share_between_looks(ground: Ground) -> float:
    """Of a core, that the leader takes with its lease and its watches while nothing happens, with shipped settings."""
    leader, seconds = ground.stage.operators[-1], ground.depth.rest
    while True:
        looks, spent = _looks(ground), process.run_time(leader)
        await asyncio.sleep(seconds)
        if _looks(ground) == looks:
            return (process.run_time(leader) - spent) / seconds


async def _minutes(ground: Ground, row: Row, count: int, interval: float) -> None:
    """So many times: each session is touched by the router, and there is a look; returns between two looks."""
    for number in range(count):
        await asyncio.gather(ground.touch(names(row.sessions), str(number)), _next_look(ground))
    await asyncio.sleep(interval / 2)


async def restart(ground: Ground, burst_row: Row) -> list[Figure]:
    """All that is asked after a start without news."""
    row = replace(burst_row, what="restart")
    await ground.stop_all()
    before = await _counts(ground)
    async with diary(ground) as book:
        await begin(ground, "again")
        await book.until_quiet()
    asked = await _counts(ground) - before
    return [
        Figure(row, "Cloudflare calls", _cloudflare(asked), "calls", 1 + floor_of_look(row.sessions), 4),
        Figure(row, "Kubernetes calls, watches and lease included", asked.total() - _cloudflare(asked), "calls"),
        Figure(row, "Pod patches", asked["PATCH pods/status"], "calls", 0, 0),
        Figure(row, "route writes", asked["PATCH ingressroutes"] + asked["DELETE ingressroutes"], "calls", 0, 0),
    ]


async def newcomer(ground: Ground, burst_row: Row) -> list[Figure]:
    """Until the first new session is Ready, from the start of the process; it exists by then."""
    row, new = replace(burst_row, what="restart"), names(1, first=burst_row.sessions)
    await ground.stop_all()
    await ground.create(new)
    async with diary(ground) as book:
        begun = await begin(ground, "a", LEASE_DURATION=str(ground.depth.lease))
        await book.until_ready(new)
    [seconds] = book.waited(dict.fromkeys(new, begun.at))
    work = floor_of_work(row, REQUESTS, ground.bare.request)
    floor = ground.bare.cpu / speed(row) + floor_of_calls(row, ONE_AFTER_THE_OTHER) + work
    return [Figure(row, "from the start until a new session is Ready", seconds, "s", floor)]


async def failover(ground: Ground, burst_row: Row) -> list[Figure]:
    """The leader ends beside a warm standby: seconds until that writes for a session that comes in that moment."""
    row, new, lease = replace(burst_row, what="failover"), names(2, first=burst_row.sessions + 1), ground.depth.lease
    async with diary(ground) as book:
        killed = await _after_the_end(ground, "b", signal.SIGKILL, new[0])
        told = await _after_the_end(ground, "c", signal.SIGTERM, new[1])
        await book.until_ready(new)
    await asyncio.sleep(LAST_EVENT)
    # The batch comes after the list, and before them what the lease still runs: it was just renewed, or almost.
    calls, left = floor_of_calls(row, 1), lease * (1 - RETRY * LATE)
    return [
        Figure(row, f"kill -9 (lease of {lease} s) to first write", killed, "s", left + calls, lease + AFTER_KILL),
        Figure(row, "SIGTERM to first write", told, "s", calls, AFTER_SIGTERM),
    ]


async def _after_the_end(ground: Ground, standby: str, number: signal.Signals, session: str) -> float:
    """Of the leader, which is the youngest replica, beside one that is started first."""
    clock, board, leader = asyncio.get_running_loop().time, ground.cloudflare, ground.stage.operators[-1]
    warm = await ground.start(standby, LEASE_DURATION=str(ground.depth.lease))
    async with asyncio.timeout(ground.within):
        while await troubles(warm):  # its caches are not full yet
            await asyncio.sleep(0.1)
    await asyncio.sleep(ground.depth.lease * RETRY * LATE)  # so that it has seen the lease renewed
    board.forget_calls()
    since = clock()
    ground.end(leader, number)
    await ground.create([session])
    await ground.until(lambda: any(call.method == "POST" for call in board.calls))
    return clock() - since


async def teardown(ground: Ground, burst_row: Row) -> list[Figure]:
    """All sessions end at once; as in production their Pods stay for a while: until Cloudflare has nothing left."""
    row = replace(burst_row, what="teardown")
    ending, clock = names(row.sessions + NEWCOMERS), asyncio.get_running_loop().time
    before, since = await _counts(ground), clock()
    await ground.delete(ending)
    async with diary(ground) as book:
        await ground.until(lambda: not ground.of_sessions(), every=0.1)
        seconds = clock() - since
        await ground.bury(ending)
        await book.until_quiet()
    asked = await _counts(ground) - before
    # The document may be that of the last look, and PUT and batches need not wait for each other.
    calls = 1 + batches(len(ending))
    floor = floor_of_calls(row, 1) + floor_of_work(row, LAST_REQUESTS * len(ending), ground.bare.request)
    return [
        Figure(row, "Cloudflare calls", _cloudflare(asked), "calls", calls),
        Figure(row, "Kubernetes calls per session", _for_sessions(asked) / len(ending), "calls", LAST_REQUESTS),
        Figure(row, "until Cloudflare has nothing left", seconds, "s", floor),
    ]


LIFE = (burst, idle, restart, newcomer, failover, teardown)


async def _next_look(ground: Ground) -> None:
    """Return after one more look at the tunnel."""
    before = _looks(ground)
    await ground.until(lambda: _looks(ground) > before)


def _looks(ground: Ground) -> int:
    counts: Mapping[str, int] = ground.cloudflare.counts
    return sum(number for kind, number in counts.items() if kind.startswith("GET") and kind.endswith("configurations"))


async def _counts(ground: Ground) -> Counter[str]:
    """What has been asked so far, of both."""
    return await ground.asked() + Counter({f"Cloudflare {kind}": n for kind, n in ground.cloudflare.counts.items()})


def _cloudflare(asked: Counter[str]) -> int:
    return sum(number for kind, number in asked.items() if kind.startswith("Cloudflare"))


def _for_sessions(asked: Counter[str]) -> int:
    """Of Kubernetes, but for the lease and the watches."""
    return asked.total() - _cloudflare(asked) - upkeep(asked).total()


def _written(asked: Counter[str]) -> int:
    writes = asked - upkeep(asked)
    return sum(number for kind, number in writes.items() if kind.startswith(("PATCH", "POST", "PUT", "DELETE")))
