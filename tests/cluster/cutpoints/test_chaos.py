"""200 sessions come and go while every second something else goes wrong; then all is exactly as it should be.

At last their namespace goes under them, which is a fault that only the end can be: nothing can be made in it any more.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path

import pytest

from fsm.session import hash_of_hostname
from sandbox.cloudflare.access import LIMIT
from tests.cluster.cutpoints.faults import Fault, Faults
from tests.cluster.cutpoints.ground import Ground, ground, until_found
from tests.cluster.manifests import hostname, new_hash
from tests.cluster.site import Json
from tests.controlplane import ControlPlane, KubectlError

SEED = 4
ROUNDS, A_ROUND = 20, 10  # rounds of chaos, a second or two each; new sessions in each
STAY = 20  # sessions that live in the end
AT_LAST = 6  # faults, while the namespace goes
EVICTED = 2  # in each round, of those that go


@pytest.mark.timeout(400)
async def test_after_chaos_everything_is_exactly_right(cluster: ControlPlane, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    async with ground(cluster, tmp_path, RESYNC_INTERVAL="5", ORPHAN_GRACE="3") as here:
        await here.fill()
        first = new_hash()
        nothing = here.picture(first)
        await here.create(first)
        await here.ready(first)
        before = here.picture(first)
        alive = {first, *await chaos(here, rng)}
        await here.ready(*alive)
        wanted = sorted(each for session in alive for each in parts(session))
        await until_found(lambda: sorted(here.site.left()) == wanted, "nothing is missing or left", here.site.left)
        assert_all_alike(here, before, first, alive)
        await here.hears()
        await here.end(*alive - {first})
        await here.looks_like(before, first)
        await lose_namespace(here, rng, first)
        await here.swept()
        await here.looks_like(nothing, first)
        # No flood, whatever happens: a new process does not know what the last one has spent.
        assert here.site.cloudflare.ask(lambda board: board.total) < LIMIT


async def chaos(here: Ground, rng: random.Random) -> set[str]:
    """Every session of all rounds that nobody has deleted."""
    # Whom a fault meets depends on when it comes; what comes, and when, does not.
    faults, alive = Faults(here, random.Random(SEED)), set[str]()
    async with asyncio.TaskGroup() as tasks:
        for fault in shuffled(faults.all(), rng):
            tasks.create_task(fault())
            alive |= await come(here)
            alive -= await go(here, rng, alive)
            await asyncio.sleep(1)
    await faults.end()
    return alive


async def lose_namespace(here: Ground, rng: random.Random, first: str) -> None:
    """The namespace goes under living sessions, in the middle of other faults.

    Who leads in the end may not have seen the sessions go: an API server that has restarted does not tell what happened
    before its new time, and a list that misses somebody is no witness. So many at once are for a person to judge then.
    """
    faults, sessions = Faults(here, random.Random(SEED)), await come(here)
    await here.ready(*sessions)
    await here.hears()
    async with asyncio.TaskGroup() as tasks:
        for number, fault in enumerate(rng.sample(faults.survived(), AT_LAST)):
            tasks.create_task(fault())
            if number == AT_LAST // 2:
                await insist(here.lose_namespace, first, *sessions)
            await asyncio.sleep(1)
    await faults.end()


def shuffled(faults: Sequence[Fault], rng: random.Random) -> list[Fault]:
    """One for each round: every one of them, and some twice."""
    again = rng.sample(faults, ROUNDS - len(faults))
    return rng.sample([*faults, *again], ROUNDS)


async def come(here: Ground) -> set[str]:
    """New sessions."""
    sessions = {new_hash() for _ in range(A_ROUND)}
    await insist(here.create, *sessions)
    return sessions


async def go(here: Ground, rng: random.Random, alive: Collection[str]) -> set[str]:
    """Some of the sessions: they are evicted, go slowly, or at once, or come back under their name just after."""
    chosen = rng.sample(sorted(alive), max(0, len(alive) - STAY))
    going, again = chosen[::3], chosen[1::3]
    await insist(here.evict, *going[:EVICTED])
    await insist(here.delete, *going[EVICTED:])
    await insist(here.end, *chosen)
    await insist(here.create, *again)
    return {*chosen} - {*again}


async def insist(ask: Callable[..., Awaitable[None]], *sessions: str) -> None:
    """As a router does that meets an API server in trouble."""
    while sessions:
        try:
            await ask(*sessions)
        except KubectlError:
            await asyncio.sleep(0.2)
        else:
            return


def parts(session: str) -> list[str]:
    host = hostname(session)
    routes = [f"opencode-session-{host.partition('.')[0]}-{part}" for part in ("app", "signin")]
    return [f"record {host}", f"rule {host}", *routes]


def assert_all_alike(here: Ground, before: Json, first: str, alive: Collection[str]) -> None:
    """Each session has what the first one had before the chaos, and everything else is as it was."""
    ours = {hostname(session) for session in alive}
    rules = here.site.cloudflare.rules()
    assert [rule for rule in rules if rule.get("hostname") not in ours - {hostname(first)}] == [
        {**rule, "hostname": rule["hostname"].replace("{hash}", first)} if "hostname" in rule else rule
        for rule in before["tunnel"]["ingress"]
    ]
    assert len({str(rule["service"]) for rule in rules if rule.get("hostname") in ours}) == 1
    wildcard = next(place for place, rule in enumerate(rules) if str(rule.get("hostname")).startswith("*."))
    assert all(place < wildcard for place, rule in enumerate(rules) if hash_of_hostname(str(rule.get("hostname"))))
