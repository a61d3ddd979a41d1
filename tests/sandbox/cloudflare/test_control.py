"""The knobs: what was asked, what there is, other people's writes, settings and outages."""

import asyncio
from typing import Any

import aiohttp
import pytest

from sandbox.cloudflare.world import TOKEN
from tests.contract.cloudflare.support import CATCH_ALL, Api, address, cname, rule


async def test_every_call_is_told_and_counted_by_kind(api: Api) -> None:
    record = await api.make("a")
    await api.ask("GET", f"{api.records}/{record['id']}")
    await api.ask("GET", f"{api.records}/{'f' * 32}")
    await api.ask("GET", api.document, token="wrong")
    told = (await api.turn("GET", "calls")).body
    assert told["total"] == 4
    assert told["by_kind"] == {
        "POST zones/dns_records": 1,
        "GET zones/dns_records": 2,
        "GET accounts/cfd_tunnel/configurations": 1,
    }
    assert told["calls"][0] == {"id": 1, "method": "POST", "path": api.records, "status": 200}
    assert [(call["id"], call["status"]) for call in told["calls"]] == [(1, 200), (2, 200), (3, 404), (4, 403)]


async def test_calls_are_counted_from_zero_again(api: Api) -> None:
    await api.find()
    assert (await api.turn("DELETE", "calls")).body["total"] == 1
    await api.find()
    told = (await api.turn("GET", "calls")).body
    assert (told["total"], len(told["calls"])) == (1, 1)


async def test_the_world_is_told_as_a_whole(api: Api) -> None:
    record = await api.make("a")
    await api.configure(rule())
    told = (await api.turn("GET", "world")).body
    assert told["records"] == [record]
    tunnel = told["tunnels"][api.world.tunnel_id]
    assert (tunnel["version"], tunnel["config"]["ingress"]) == (1, [rule(), CATCH_ALL])


async def test_somebody_else_writes_without_a_token_and_without_a_call(api: Api) -> None:
    record = (await api.turn("POST", "records", {"type": "A", "name": "a.example.org", "content": "192.0.2.1"})).result
    changed = (await api.turn("PATCH", f"records/{record['id']}", {"comment": "theirs"})).result
    assert (await api.turn("PUT", "tunnel", {"ingress": [rule(), CATCH_ALL]})).body["version"] == 1
    assert api.world.records.all() == [changed]
    assert (changed["content"], changed["comment"]) == ("192.0.2.1", "theirs")
    await api.turn("DELETE", f"records/{record['id']}")
    assert (api.world.records.all(), api.switchboard.total) == ([], 0)


@pytest.mark.parametrize(
    ("method", "knob", "body", "status"),
    [
        ("POST", "records", {"type": "A"}, 400),
        ("POST", "records", [], 400),
        ("PATCH", f"records/{'f' * 32}", {}, 404),
        ("DELETE", f"records/{'f' * 32}", None, 404),
        ("PUT", "tunnel", {"ingress": []}, 400),
        ("POST", "release", [], 400),
    ],
)
async def test_other_peoples_writes_are_checked_like_ours(
    api: Api, method: str, knob: str, body: object, status: int
) -> None:
    assert (await api.turn(method, knob, body)).status == status
    assert (api.world.records.all(), api.world.tunnel.version) == ([], 0)


async def test_settings_change_what_they_name(api: Api) -> None:
    before = (await api.turn("GET", "settings")).body
    assert (before["down"], before["latency"], before["plan"], before["quota"]) == (False, 0.0, "free", 200)
    wanted: dict[str, Any] = {"quota": 1, "plan": "pro", "rate_limit": 5, "source": "local", "deleted": True}
    after = (await api.turn("PATCH", "settings", wanted)).body
    assert after == before | wanted
    assert (await api.ask("GET", api.tunnel)).result["config_src"] == "local"
    assert (await api.ask("GET", api.document)).refusal == (404, 1055)
    await api.make("a", tags=["t"])
    assert (await api.ask("POST", api.records, cname("b"))).refusal == (400, 81045)
    assert (await api.find()).status == 200
    assert (await api.find()).refusal == (429, 971)


async def test_tokens_can_be_taken_away_and_given_back(api: Api) -> None:
    await api.turn("PATCH", "settings", {"tokens": {TOKEN: ["dns:read"], "new": ["dns:edit"]}})
    assert (await api.ask("POST", api.records, cname("a"))).refusal == (403, 10000)
    assert (await api.ask("POST", api.records, cname("a"), token="new")).status == 200
    assert (await api.ask("GET", api.records, token=f"{TOKEN}-read")).refusal == (403, 9109)
    assert (await api.turn("GET", "settings")).body["tokens"] == {TOKEN: ["dns:read"], "new": ["dns:edit"]}


@pytest.mark.parametrize(
    "nonsense",
    [
        [],
        {"unknown": 1},
        {"down": "yes"},
        {"down": 200},
        {"latency": -1},
        {"latency": -0.5},
        {"latency": float("inf")},
        {"quota": True},
        {"quota": None},
        {"plan": "golden"},
        {"plan": []},
        {"source": "dashboard"},
        {"deleted": 1},
        {"tokens": []},
        {"tokens": {"a": "dns:edit"}},
        {"tokens": {"a": [[]]}},
        {"tokens": {"a": ["all"]}},
    ],
    ids=str,
)
async def test_a_setting_that_does_not_exist_is_refused(api: Api, nonsense: object) -> None:
    before = (await api.turn("GET", "settings")).body
    wanted = {"quota": 7, **nonsense} if isinstance(nonsense, dict) else nonsense
    answer = await api.turn("PATCH", "settings", wanted)
    assert (answer.status, bool(answer.body["error"])) == (400, True)
    assert (await api.turn("GET", "settings")).body == before


async def test_an_outage_closes_connections_and_leaves_the_knobs(api: Api) -> None:
    assert (await api.turn("PATCH", "settings", {"down": True})).body["down"] is True
    with pytest.raises(aiohttp.ClientError):
        await api.ask("POST", api.records, cname("a"))
    assert (await api.turn("PATCH", "settings", {"down": False})).body["down"] is False
    assert (await api.find()).names == []


async def test_an_outage_can_answer_with_an_error(api: Api) -> None:
    assert (await api.turn("PATCH", "settings", {"down": 503})).body["down"] == 503
    assert (await api.ask("POST", api.records, address("a"))).status == 503
    await api.turn("PATCH", "settings", {"down": False})
    assert (await api.find()).names == []


async def test_latency_is_of_every_call(api: Api) -> None:
    await api.turn("PATCH", "settings", {"latency": 0.05})
    begun = asyncio.get_running_loop().time()
    await api.find()
    await api.ask("GET", api.zone)
    assert asyncio.get_running_loop().time() - begun >= 0.1


@pytest.mark.parametrize("knob", ["faults", "records", "tunnel", "settings", "release"])
async def test_what_is_no_json_is_refused(api: Api, knob: str) -> None:
    methods = {"faults": "PUT", "tunnel": "PUT", "settings": "PATCH"}
    async with api.http.request(methods.get(knob, "POST"), f"{api.places.control}/{knob}", data=b"{nonsense") as reply:
        assert reply.status == 400
        assert (await reply.json())["error"]


async def test_rules_are_put_and_not_posted(api: Api) -> None:
    rule = {"drop": "before"}
    await api.turn("PUT", "faults", [rule])
    async with api.http.post(f"{api.places.control}/faults", json=[]) as reply:
        assert reply.status == 405
    assert (await api.turn("GET", "faults")).body == [rule]
