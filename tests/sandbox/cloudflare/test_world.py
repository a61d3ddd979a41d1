"""The core without a server: time is an argument, and nothing else comes from outside."""

import copy
from typing import Any

from sandbox.cloudflare.envelope import Reply, Request
from sandbox.cloudflare.world import ACCOUNT_ID, TOKEN, TUNNEL_ID, World
from tests.contract.cloudflare.support import CATCH_ALL, cname, rule

TUNNEL = f"/accounts/{ACCOUNT_ID}/cfd_tunnel/{TUNNEL_ID}"
HEADERS = {"authorization": f"Bearer {TOKEN}"}


def ask(world: World, now: float, method: str = "GET", path: str = "", body: object = None, **query: str) -> Reply:
    return world.handle(Request(method, f"/zones/{world.zone_id}{path}", query, HEADERS, body), now)


def configure(world: World, now: float, config: dict[str, Any]) -> Reply:
    return world.handle(Request("PUT", f"{TUNNEL}/configurations", {}, HEADERS, {"config": config}), now)


def test_the_same_requests_at_the_same_times_make_the_same_world() -> None:
    worlds = [World(), World()]
    replies = []
    for world in worlds:
        made = ask(world, 10.0, "POST", "/dns_records", cname("a"))
        asked = [ask(world, 11.5, "GET", "/dns_records"), configure(world, 12.0, {"ingress": [CATCH_ALL]})]
        replies.append([made, *asked])
    assert replies[0] == replies[1]
    assert worlds[0].snapshot() == worlds[1].snapshot()
    assert replies[0][0].body["result"]["created_on"] == "1970-01-01T00:00:10.000000Z"


def test_the_limit_is_of_requests_within_five_minutes() -> None:
    world = World()
    for number in range(1200):
        assert ask(world, number / 10).status == 200
    for number in range(1200):
        assert ask(world, 300.0 + number / 10).status == 200, "each old request has made room for one"


def test_one_request_too_many_blocks_the_token_for_five_minutes() -> None:
    world = World()
    for _ in range(1200):
        ask(world, 100.0)
    refused = ask(world, 101.0)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "300")
    assert ask(world, 251.0).headers["Retry-After"] == "150"
    assert ask(world, 400.9).status == 429
    assert ask(world, 401.0).status == 200


def test_requests_during_the_block_do_not_make_it_longer() -> None:
    world = World(rate_limit=1)
    statuses = [ask(world, float(second)).status for second in (0, 1, 100, 200, 300, 301)]
    assert statuses == [200, 429, 429, 429, 429, 200]


def test_the_header_tells_when_there_is_room_again() -> None:
    world = World(rate_limit=2)
    assert ask(world, 100.0).headers["Ratelimit"] == '"default";r=1;t=300'
    assert ask(world, 150.0).headers["Ratelimit"] == '"default";r=0;t=250'
    assert ask(world, 160.0).headers["Ratelimit"] == '"default";r=0;t=300'


def test_a_requests_document_and_a_replies_document_are_nobody_elses() -> None:
    world = World()
    sent: dict[str, Any] = {"ingress": [rule(), CATCH_ALL]}
    reply = configure(world, 1.0, sent)
    world.tunnel.connectors.append({"id": "c"})
    connectors = world.handle(Request("GET", f"{TUNNEL}/connections", {}, HEADERS), 1.0).body["result"]
    kept = copy.deepcopy((world.snapshot(), world.tunnel.connectors))
    sent["ingress"].clear()
    reply.body["result"]["config"]["ingress"].clear()
    world.snapshot()["tunnels"][world.tunnel_id]["config"].clear()
    connectors.clear()
    assert (world.snapshot(), world.tunnel.connectors) == kept


def test_a_token_that_is_granted_again_keeps_what_it_has_used() -> None:
    world = World(rate_limit=2)
    ask(world, 1.0)
    world.access.grant({TOKEN: {"dns:read"}, "other": set()})
    assert ask(world, 2.0).headers["Ratelimit"].startswith('"default";r=0;')
    assert ask(world, 2.0, "POST", "/dns_records", cname("a")).status == 429


def test_another_tunnel_of_the_account_has_a_document_of_its_own() -> None:
    world = World()
    other = "11111111-2222-3333-4444-555555555555"
    world.tunnels[other] = copy.deepcopy(world.tunnel)
    configure(world, 1.0, {"ingress": [CATCH_ALL]})
    assert (world.tunnel.version, world.tunnels[other].version) == (1, 0)
