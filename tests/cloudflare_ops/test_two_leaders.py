"""Two replicas that both believe to lead, on an API that loses, delays and fails: nothing foreign is ever touched, and
once the trouble is over the world is exactly what it should be."""

import asyncio
import copy
import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudflare_ops.transport import NoReplyError, Reply
from fsm.errors import SessionError
from sandbox.cloudflare.envelope import Request
from sandbox.cloudflare.world import TOKEN, TUNNEL_ID, ZONE_ID, World
from tests.cloudflare_ops.api import MARK, TARGET, host, record, rule, session, written
from tests.cloudflare_ops.operator import Operator, running
from tests.k8s.virtual import now, virtual

STAMP = "2026-01-01T00:00:00Z"
SESSIONS = 12
CHAOS = 120.0  # seconds
HEADERS = {"authorization": f"Bearer {TOKEN}"}
FOREIGN_RULES: list[dict[str, Any]] = [
    {"hostname": "www.example.org", "service": "http://www:80", "path": "/x"},
    {"hostname": "*.example.org", "service": "http://rest:80", "originRequest": {"noTLSVerify": True}},
    {"service": "http_status:404"},
]


class Stormy:
    """A transport to a world of its own; until `calm` every third request meets something."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.calm = False
        self.late: set[asyncio.Task[None]] = set()

    async def request(
        self, method: str, path: str, params: Mapping[str, Any] | None, body: Any, timeout: float
    ) -> Reply:
        query = {key: str(value) for key, value in (params or {}).items()}
        request = Request(method, path, query, HEADERS, copy.deepcopy(body))
        await asyncio.sleep(self.random.uniform(0.01, 0.5))
        fault = (
            "" if self.calm else self.random.choice(("lost", "dropped", "502", "slow", "late", "", "", "", "", "", ""))
        )
        if fault == "dropped":
            raise NoReplyError(sent=True)
        if fault == "late":
            task = asyncio.create_task(self._carry_out_later(request))
            self.late.add(task)
            raise NoReplyError(sent=True)
        answer = self.world.handle(request, now())
        if fault == "lost":
            raise NoReplyError(sent=True)
        await asyncio.sleep(self.random.uniform(0, 4) if fault == "slow" else 0.05)
        return Reply(502, {}, None) if fault == "502" else Reply(answer.status, dict(answer.headers), answer.body)

    async def _carry_out_later(self, request: Request) -> None:
        await asyncio.sleep(self.random.uniform(1, 20))
        self.world.handle(request, now())


async def serve(operator: Operator, number: int) -> None:
    """What a session's worker makes of it, once."""
    name = session(number)
    with operator.census.running():
        if name in operator.alive:
            await operator.dns.ensure((record(number),), now())
            await operator.tunnel.ensure((rule(number),), (), now())
        else:
            await operator.dns.look(now())
            await operator.tunnel.look(now())
            await operator.tunnel.remove(name, (), ())
            await operator.dns.remove(name, ())


async def work(operator: Operator, number: int, chance: random.Random) -> None:
    until = now() + CHAOS
    while now() < until:
        try:
            await serve(operator, number)
        except SessionError:
            await asyncio.sleep(chance.uniform(0.1, 5))
        await asyncio.sleep(chance.uniform(0, 10))


async def come_and_go(alive: set[str], chance: random.Random) -> None:
    for _ in range(int(CHAOS)):
        alive ^= {session(chance.randrange(SESSIONS))}
        await asyncio.sleep(1)


def new_world() -> World:
    world = World(zone_id=ZONE_ID, rate_limit=10**6)
    body = {"type": "CNAME", "content": TARGET, "proxied": True, "ttl": 1}
    world.records.create({**body, "name": "www.example.org", "comment": MARK}, STAMP)
    world.records.create({**body, "name": host(99), "comment": "somebody's"}, STAMP)
    world.tunnel.configure({"ingress": [written(99), *FOREIGN_RULES], "field": {"a": [1]}}, STAMP)
    return world


def foreign_part(world: World) -> tuple[list[Any], list[Any], Any]:
    ours = {host(number) for number in range(SESSIONS)}
    config = world.tunnel.config
    assert config is not None
    records = [entry for entry in world.records.all() if entry["name"] not in ours]
    rules = [entry for entry in config["ingress"] if entry.get("hostname") not in ours]
    return copy.deepcopy((records, rules, {key: value for key, value in config.items() if key != "ingress"}))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_two_leaders_in_a_storm_converge_and_touch_nothing_foreign(seed: int) -> None:
    @virtual
    async def check() -> None:
        world, chance, alive = new_world(), random.Random(seed), {session(1)}
        before = foreign_part(world)
        stormy = Stormy(world, seed)
        options: dict[str, Any] = {"zone": ZONE_ID, "tunnel": TUNNEL_ID, "budget": 100_000}
        async with running(stormy, **options) as one, running(stormy, **options) as two:
            one.alive = two.alive = alive
            workers = [work(operator, number, chance) for operator in (one, two) for number in range(SESSIONS)]
            await asyncio.gather(come_and_go(alive, chance), *workers)
            await asyncio.gather(*stormy.late)
            stormy.calm = True
            for _ in range(3):
                await asyncio.sleep(40)
                rounds = [serve(operator, number) for operator in (one, two) for number in range(SESSIONS)]
                await asyncio.gather(*rounds, return_exceptions=True)
            await settle(one)
        assert foreign_part(world) == before
        assert {entry["name"] for entry in world.records.all()} == {
            "www.example.org",
            host(99),
            *(host(number) for number in range(SESSIONS) if session(number) in alive),
        }
        config = world.tunnel.config
        assert config is not None
        wanted = [written(number) for number in range(SESSIONS) if session(number) in alive]
        place = config["ingress"].index(FOREIGN_RULES[1])
        assert sorted(map(str, config["ingress"][:place])) == sorted(map(str, [*wanted, written(99), FOREIGN_RULES[0]]))

    check()


async def settle(operator: Operator) -> None:
    """The last round is one replica's alone: what the two did to each other in theirs is drift by now."""
    for result in await asyncio.gather(
        *(serve(operator, number) for number in range(SESSIONS)), return_exceptions=True
    ):
        if isinstance(result, BaseException):
            pytest.fail(repr(result))
