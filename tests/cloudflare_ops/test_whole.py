"""The whole Cloudflare half against the sandbox's API, over HTTP and by the client that the simulation has instead: its
codes, its quota, its batches, its faults."""

import copy
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from cloudflare_ops.ownership import ORIGINAL_COMMENT
from cloudflare_ops.transport import SdkTransport
from fsm.errors import ConflictError, SharedError
from fsm.observation import Status
from sandbox.cloudflare.server import running as serving
from sandbox.cloudflare.switchboard import Switchboard
from sandbox.cloudflare.world import TOKEN, TUNNEL_ID, ZONE_ID, World
from tests.cloudflare_ops.api import MARK, TARGET, host, record, rule, session, written
from tests.cloudflare_ops.operator import Operator, outcomes, running
from tests.k8s.virtual import now
from tests.property.simulation import wires
from tests.property.simulation.network import Fault

STAMP = "2026-01-01T00:00:00Z"
FOREIGN = {"hostname": "*.example.org", "service": "http://foreign:80", "originRequest": {"connectTimeout": 7}}
BATCH, LIST, TUNNEL = (
    {"method": "POST", "path": ".*/batch"},
    {"method": "GET", "path": ".*/dns_records"},
    {"method": "PUT", "path": ".*/configurations"},
)


# Those of the simulation that do not take their time.
LOSSES = (Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.ERROR_BEFORE, Fault.ERROR_AFTER, Fault.CUT_SHORT)

Operating = Callable[[World], AbstractAsyncContextManager[Operator]]


@asynccontextmanager
async def disturbed(
    world: World, *faults: dict[str, Any], **options: Any
) -> AsyncIterator[tuple[Operator, Switchboard]]:
    switchboard = Switchboard(world)
    async with serving(world, switchboard=switchboard) as places:
        transport = SdkTransport(TOKEN, base_url=places.api)
        try:
            async with running(transport, zone=ZONE_ID, tunnel=TUNNEL_ID, **options) as operator:
                switchboard.faults.replace(list(faults))
                yield operator, switchboard
        finally:
            await transport.close()


@asynccontextmanager
async def over_http(world: World) -> AsyncIterator[Operator]:
    async with disturbed(world) as (operator, _):
        yield operator


@asynccontextmanager
async def in_simulation(world: World) -> AsyncIterator[Operator]:
    transport = wires.cloudflare(world, wires.network())
    async with running(transport, zone=ZONE_ID, tunnel=TUNNEL_ID) as operator:
        yield operator


@pytest.fixture(params=[over_http, in_simulation])
def operating(request: pytest.FixtureRequest) -> Operating:
    """The operator of a world."""
    way: Operating = request.param
    return way


def put_record(world: World, name: str, comment: str, **others: Any) -> None:
    body = {"type": "CNAME", "name": name, "content": TARGET, "proxied": True, "ttl": 1, "comment": comment, **others}
    world.records.create(body, STAMP)


async def test_a_burst_comes_and_goes_and_leaves_everything_foreign_as_it_was(operating: Operating) -> None:
    world = World(plan="free")
    put_record(world, "www.example.org", "hands off")
    put_record(world, host(1), ORIGINAL_COMMENT)
    put_record(world, host(2), "", type="A", content="192.0.2.1", proxied=False)
    world.tunnel.configure({"ingress": [FOREIGN, {"service": "http_status:404"}], "own": {"field": [1]}}, STAMP)
    before = copy.deepcopy(world.snapshot())
    async with operating(world) as operator:

        async def journey(number: int) -> None:
            with operator.census.running():
                await operator.dns.ensure((record(number),), now())
                await operator.tunnel.ensure((rule(number),), (), now())

        results = await outcomes(*(journey(number) for number in range(100)))
        assert isinstance(results.pop(2), ConflictError)
        assert results == [None] * 99
        assert sum(operator.client.calls.values()) == 6, "zone, list, patches, posts, read, write"
        assert len(world.records.all()) == 101
        assert [entry["comment"] for entry in world.records.at(host(1))] == [MARK]
        assert world.tunnel.config is not None
        assert world.tunnel.config["ingress"][-2:] == [FOREIGN, {"service": "http_status:404"}]

        await outcomes(*(operator.remove_rule(number) for number in range(100)))
        await outcomes(*(operator.remove(number) for number in range(100)))
    after = world.snapshot()
    assert [entry["name"] for entry in after["records"]] == ["www.example.org", host(2)]
    assert all(entry in before["records"] for entry in after["records"])
    assert after["tunnels"][TUNNEL_ID]["config"] == before["tunnels"][TUNNEL_ID]["config"]


@pytest.mark.parametrize(
    "fault",
    [
        {"match": BATCH, "times": 1, "drop": "after"},
        {"match": BATCH, "times": 1, "drop": "before"},
        {"match": BATCH, "times": 1, "status": {"code": 502, "when": "after"}},
        {"match": TUNNEL, "times": 1, "drop": "after"},
        {"match": TUNNEL, "times": 1, "status": {"code": 500, "when": "before"}},
        {"match": TUNNEL, "times": 1, "late": 0.7},
        {"match": LIST, "times": 2, "drop": "before"},
        {"match": LIST, "times": 1, "truncate": 0},
    ],
    ids=str,
)
async def test_a_session_comes_through_every_fault(fault: dict[str, Any]) -> None:
    world = World()
    async with disturbed(world, fault, limit=0.5) as (operator, _):
        await operator.ensure(1)
        await operator.ensure_rule(1)
        assert [entry["name"] for entry in world.records.all()] == [host(1)]
        assert world.tunnel.config is not None
        assert written(1) in world.tunnel.config["ingress"]


@pytest.mark.parametrize("fault", LOSSES)
async def test_a_session_comes_through_a_fault_of_the_simulation(fault: Fault) -> None:
    world, wire = World(), wires.network()
    for name in ("mail", "www"):
        put_record(world, f"{name}.example.org", "hands off")
    async with running(wires.cloudflare(world, wire), zone=ZONE_ID, tunnel=TUNNEL_ID) as operator:
        await operator.dns.look(now())
        for step in (operator.ensure, operator.ensure_rule, operator.remove_rule, operator.remove):
            wire.faults["cloudflare"].append(fault)
            (failure,) = await outcomes(operator.dns.look(now()))
            assert (failure is not None) == (fault is Fault.CUT_SHORT)  # nobody believes that, the rest is asked again
            wire.faults["cloudflare"].append(fault)
            await step(1)
            assert len(world.records.all()) == (2 if step == operator.remove else 3)
    # There is nothing to be cut in what is no list.
    assert wire.counted[fault] == (4 if fault is Fault.CUT_SHORT else 8)


async def test_somebody_who_writes_between_read_and_write_is_told_about() -> None:
    world = World()
    theirs = {"ingress": [{"hostname": "new.example.org", "service": "http://new:80"}, {"service": "http_status:404"}]}
    async with disturbed(world, {"match": TUNNEL, "times": 1, "intrude": theirs}) as (operator, _):
        await operator.ensure_rule(1)
        assert operator.overwrites == [(0, 2)]


async def test_a_full_zone_is_told_and_filled_to_its_last_place(operating: Operating) -> None:
    world = World(quota=5)
    async with operating(world) as operator:
        results = await outcomes(*(operator.ensure(number) for number in range(20)))
        assert results.count(None) == 5
        assert {type(result).__mro__[1] for result in results if result is not None} == {SharedError}
        assert "Delete records" in str(operator.client.problems[0])


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        ({TOKEN: {"zone:read", "dns:edit"}}, "TokenForbidden"),
        ({TOKEN: {"zone:read"}}, "TokenForbidden"),
        ({"another": {"zone:read"}}, "TokenInvalid"),
    ],
    ids=["no tunnel", "no records", "unknown"],
)
async def test_a_token_without_a_right_is_told_with_remedy(
    operating: Operating, tokens: dict[str, set[str]], reason: str
) -> None:
    world = World(tokens={token: frozenset(rights) for token, rights in tokens.items()})
    async with operating(world) as operator:
        results = await outcomes(operator.dns.look(now()), operator.tunnel.look(now()))
        errors = [result for result in results if result is not None]
        assert all(isinstance(error, SharedError) and error.reason == reason for error in errors)
        assert "Cloudflare Tunnel:Edit" in str(errors[0])


async def test_a_deleted_and_a_locally_managed_tunnel_are_told_apart(operating: Operating) -> None:
    world = World()
    world.tunnel.is_deleted = True
    async with operating(world) as operator:
        with pytest.raises(SharedError, match="TunnelNotFound"):
            await operator.tunnel.look(now())
    world = World()
    world.tunnel.source = "local"
    async with operating(world) as operator:
        with pytest.raises(SharedError, match="TunnelLocallyManaged"):
            await operator.tunnel.look(now())


async def test_drift_is_seen_by_the_next_look(operating: Operating) -> None:
    world = World()
    async with operating(world) as operator:
        await operator.ensure(1)
        world.records.delete(world.records.at(host(1))[0]["id"])
        await operator.dns.look(now())
        seen = operator.dns.sight(session(1), (record(1),))
        assert (seen.status, seen.ours) == (Status.MISSING, ())
