"""What an operator costs whose sessions are there already: at rest, after a restart, at their end, after a failure.

`rows` calls these; each returns its figures.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import Mapping

from bench import process
from bench.bursts import begin, burst, names
from bench.figures import Figure, Row, batches
from bench.ground import Ground
from bench.watching import Diary, diary, until
from sandbox.operators import Replica

ROUNDS = 6  # resyncs that are watched
INTERVAL = 5  # seconds between them instead of 60, and each session is touched once in each
SHORT_LEASE = 5  # seconds, instead of 15
STARTS = 3


async def start(ground: Ground, row: Row) -> list[Figure]:
    """CPU until the first call to Cloudflare; the middle of some, after one that compiled the bytecode."""
    spent = []
    for number in range(STARTS + 1):
        begun = await begin(ground, f"start-{number}")
        spent.append((begun.cpu, begun.seconds))
        await begun.replica.stop()
    cpu, seconds = sorted(spent[1:])[STARTS // 2]
    return [
        Figure(row, "CPU to the first call", cpu, "s", floor=await process.cpu_of_imports(), goal=1.2),
        Figure(row, "time to the first call", seconds, "s"),
    ]


async def life(ground: Ground, row: Row) -> list[Figure]:
    """A burst, then rest, a restart, and the end of all sessions."""
    found = await burst(ground, row)
    await _stop_all(ground)
    found += await _idle(ground, _as(row, "idle"))
    await _stop_all(ground)
    found += await _restart(ground, _as(row, "restart"))
    return found + await _teardown(ground, _as(row, "teardown"))


async def failover(ground: Ground, row: Row) -> list[Figure]:
    """Two replicas, one ends: seconds until the other writes for a session that comes in that moment."""
    await begin(ground, "a", LEASE_DURATION=str(SHORT_LEASE))
    found = []
    for (how, number, goal), name in zip(ENDS, ("b", "c"), strict=True):
        await ground.start(name, LEASE_DURATION=str(SHORT_LEASE))
        await asyncio.sleep(INTERVAL)  # until its caches are warm, as a standby's are
        leader = ground.stage.operators[-2]
        seconds = await _after_the_end(ground, leader, number, names(1, first=ord(name))[0])
        found.append(Figure(row, f"first write after {how}", seconds, "s", goal=goal))
    return found


ENDS = (("kill -9", signal.SIGKILL, SHORT_LEASE + 2.0), ("SIGTERM", signal.SIGTERM, 2.0))


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
    async with diary(ground) as book:
        begun = await begin(ground, "idle", RESYNC_INTERVAL=str(INTERVAL))
        await _rounds(ground, 1)
        before, cpu, weight = await _counts(ground), process.cpu(begun.replica), process.memory(begun.replica)
        for _ in range(ROUNDS):
            await asyncio.gather(_touch_all(ground, row, book), _rounds(ground, 1))
        asked = await _counts(ground) - before
        spent, drift = process.cpu(begun.replica) - cpu, process.memory(begun.replica).now - weight.now
    return [
        Figure(row, "Cloudflare calls per resync", _cloudflare(asked) / ROUNDS, "calls", 2, 3),
        Figure(row, "Kubernetes writes but the lease", _written(asked), "calls", 0, 0),
        Figure(row, "CPU per hour (60 rounds)", spent / ROUNDS * 60, "s"),
        Figure(row, "memory drift", drift * 1024, "KiB"),
    ]


async def _touch_all(ground: Ground, row: Row, book: Diary) -> None:
    """What the router does to each session once a minute."""
    for session in names(row.sessions):
        await ground.kube.annotate(session, {"opencode.ai/last-activity": str(len(book.created))})


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


async def _teardown(ground: Ground, row: Row) -> list[Figure]:
    before, clock = await _counts(ground), asyncio.get_running_loop().time
    since = clock()
    await ground.delete(names(row.sessions))
    async with diary(ground) as book:
        await until(lambda: not ground.of_sessions(), every=0.1)
        seconds = clock() - since
        await book.until_quiet()
    asked = await _counts(ground) - before
    kubernetes = asked.total() - _cloudflare(asked)
    return [
        Figure(row, "Cloudflare calls", _cloudflare(asked), "calls", 2 + batches(row.sessions)),
        Figure(row, "Kubernetes calls per session", kubernetes / row.sessions, "calls", 2),
        Figure(row, "until nothing is left", seconds, "s"),
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
