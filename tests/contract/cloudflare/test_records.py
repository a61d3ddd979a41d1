"""Single records: creating, reading, changing, deleting, and everything that is refused."""

from typing import Any

import pytest

from sandbox.cloudflare.world import World
from tests.contract.cloudflare.support import Api, address, cname, serving

NOBODY = "0" * 32


async def test_a_new_record_gets_its_id_and_times_and_never_names_its_zone(api: Api) -> None:
    record = await api.make("a", proxied=True, comment="ours")
    assert len(record["id"]) == 32
    assert record["created_on"] == record["modified_on"] == record["comment_modified_on"]
    assert record["created_on"].endswith("Z")
    assert (record["name"], record["content"], record["ttl"]) == ("a.example.org", "target.example.net", 1)
    assert (record["proxied"], record["proxiable"], record["comment"], record["tags"]) == (True, True, "ours", [])
    assert not record.keys() & {"zone_id", "zone_name"}
    assert (await api.ask("GET", f"{api.records}/{record['id']}")).result == record


async def test_a_record_is_not_proxied_unless_asked_for(api: Api) -> None:
    assert (await api.make("a"))["proxied"] is False


async def test_names_are_kept_in_lower_case(api: Api) -> None:
    assert (await api.make("A.Example.ORG"))["name"] == "a.example.org"
    assert (await api.ask("POST", api.records, cname("a"))).refusal == (400, 81053)


@pytest.mark.parametrize(
    ("there", "posted", "code"),
    [
        (cname("a"), cname("a"), 81053),
        (cname("a"), cname("a", content="other.example.net"), 81053),
        (address("a"), cname("a"), 81053),
        (cname("a"), address("a"), 81054),
        (address("a"), address("a"), 81058),
        (cname("a", type="TXT", content="x"), cname("a", type="TXT", content="x"), 81058),
    ],
    ids=["identical CNAME", "other CNAME", "CNAME at an A", "A at a CNAME", "identical A", "identical TXT"],
)
async def test_a_taken_name_is_refused(api: Api, there: dict[str, Any], posted: dict[str, Any], code: int) -> None:
    """An identical CNAME is refused like a different one: only a look at it can tell them apart."""
    assert (await api.ask("POST", api.records, there)).status == 200
    assert (await api.ask("POST", api.records, posted)).refusal == (400, code)
    assert len(api.world.records.all()) == 1


async def test_records_that_can_live_together_do(api: Api) -> None:
    for record in (address("a"), address("a", "192.0.2.2"), cname("a", type="TXT", content="x")):
        assert (await api.ask("POST", api.records, record)).status == 200
    assert len((await api.find(name="a.example.org")).result) == 3


async def test_a_patch_changes_what_it_names_and_nothing_else(api: Api) -> None:
    before = await api.make("a", proxied=True, comment="old", ttl=300)
    after = (await api.ask("PATCH", f"{api.records}/{before['id']}", {"comment": "new"})).result
    moved = {"comment", "comment_modified_on", "modified_on"}
    assert after["comment"] == "new"
    assert {key: after[key] for key in after if key not in moved} == {
        key: before[key] for key in before if key not in moved
    }
    assert after["modified_on"] > before["modified_on"]


async def test_comment_and_tags_tell_when_they_were_changed() -> None:
    async with serving(World(plan="pro")) as api:
        bare = await api.make("a")
        assert not bare.keys() & {"comment_modified_on", "tags_modified_on"}
        path = f"{api.records}/{bare['id']}"
        commented = (await api.ask("PATCH", path, {"comment": "c"})).result
        tagged = (await api.ask("PATCH", path, {"tags": ["t"]})).result
        put = (await api.ask("PUT", path, cname("a", comment="c", tags=["t"]))).result
        assert commented["comment_modified_on"] == commented["modified_on"] < tagged["modified_on"]
        for record in (tagged, put):
            assert record["comment_modified_on"] == commented["modified_on"]
            assert record["tags_modified_on"] == tagged["modified_on"]


async def test_a_comment_or_tags_can_be_taken_away(api: Api) -> None:
    for number, nothing in enumerate((None, "")):
        record = await api.make(f"a{number}", comment="old")
        body = {"comment": nothing, "tags": None}
        patched = (await api.ask("PATCH", f"{api.records}/{record['id']}", body)).result
        assert (patched["comment"], patched["tags"]) == (None, [])


async def test_a_put_gives_everything_that_it_does_not_name_its_default(api: Api) -> None:
    before = await api.make("a", proxied=True, comment="old", ttl=300)
    after = (await api.ask("PUT", f"{api.records}/{before['id']}", cname("b"))).result
    assert (after["id"], after["created_on"]) == (before["id"], before["created_on"])
    assert (after["name"], after["proxied"], after["comment"], after["ttl"]) == ("b.example.org", False, None, 1)


async def test_a_record_cannot_be_moved_onto_another_ones_name(api: Api) -> None:
    await api.make("a")
    moving = await api.make("b")
    for method in ("PATCH", "PUT"):
        assert (await api.ask(method, f"{api.records}/{moving['id']}", cname("a"))).refusal == (400, 81053)
    assert (await api.find(order="name")).names == ["a", "b"]


async def test_a_deletion_answers_without_saying_success(api: Api) -> None:
    record = await api.make("a")
    answer = await api.ask("DELETE", f"{api.records}/{record['id']}")
    assert (answer.status, answer.body) == (200, {"result": {"id": record["id"]}})
    assert api.world.records.all() == []


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
async def test_a_record_that_does_not_exist_is_told_so(api: Api, method: str) -> None:
    body = cname("a") if method in ("PATCH", "PUT") else None
    assert (await api.ask(method, f"{api.records}/{NOBODY}", body)).refusal == (404, 81044)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": ""}, 9000),
        ({"name": "a.example.com"}, 9000),
        ({"name": "sp ace.example.org"}, 9000),
        ({"name": "caf\u00e9.example.org"}, 9000),
        ({"name": f"{'a.' * 123}example.org"}, 9000),
        ({"name": "*-oc.example.org"}, 9000),
        ({"name": "*oc.example.org"}, 9000),
        ({"name": "**.example.org"}, 9000),
        ({"name": "a.*.example.org"}, 9000),
        ({"name": f"{'a' * 64}.example.org"}, 9000),
        ({"type": "NONSENSE"}, 9004),
        ({"content": ""}, 9005),
        ({"content": "http://target/"}, 9007),
        ({"type": "A", "content": "not an address"}, 9005),
        ({"ttl": 59}, 9021),
        ({"ttl": 86401}, 9021),
        ({"ttl": None}, 9021),
        ({"ttl": True}, 9021),
        ({"proxied": "yes"}, 9003),
        ({"comment": "two\nlines"}, 9206),
        ({"comment": "two\rlines"}, 9206),
        ({"comment": "a\ttab"}, 9206),
        ({"comment": "zero\u200bwidth"}, 9206),
        ({"comment": ["no text"]}, 9206),
        ({"comment": "x" * 101}, 9206),
        ({"tags": ["team:a"]}, 9300),
    ],
    ids=str,
)
async def test_what_is_wrong_with_a_record_is_told_behind_a_1004(api: Api, change: dict[str, Any], code: int) -> None:
    answer = await api.ask("POST", api.records, cname("a") | change)
    assert answer.refusal == (400, 1004)
    assert answer.chain == [code]
    record = await api.make("b")
    patched = await api.ask("PATCH", f"{api.records}/{record['id']}", change)
    assert (patched.refusal, patched.chain) == ((400, 1004), [code])
    assert (await api.ask("GET", f"{api.records}/{record['id']}")).result == record


async def test_a_new_record_has_to_say_its_ttl(api: Api) -> None:
    record = {key: value for key, value in cname("a").items() if key != "ttl"}
    assert (await api.ask("POST", api.records, record)).chain == [9021]
    assert (await api.ask("POST", api.batch, {"posts": [record]})).chain == [9021]


async def test_a_comment_may_have_a_hundred_graphic_characters(api: Api) -> None:
    for name, comment in (("a", "é—" * 50), ("b", "🦀\u3000" * 50)):
        assert (await api.make(name, comment=comment))["comment"] == comment


async def test_a_paid_plan_takes_longer_comments_and_tags() -> None:
    async with serving(World(plan="pro")) as api:
        record = await api.make("a", comment="x" * 500, tags=["team:a"])
        assert record["tags"] == ["team:a"]
        assert (await api.ask("POST", api.records, cname("b", comment="x" * 501))).chain == [9206]
        assert (await api.ask("POST", api.records, cname("b", tags=["t"] * 21))).chain == [9300]
        for tag in ("n" * 33, "n:" + "v" * 101, "na me", "", 1):
            assert (await api.ask("POST", api.records, cname("b", tags=[tag]))).chain == [9301]
        await api.make("c", tags=["n" * 32 + ":" + "v" * 100])


async def test_only_an_enterprise_zone_takes_a_ttl_below_a_minute() -> None:
    async with serving(World(plan="enterprise")) as api:
        assert (await api.make("a", ttl=30))["ttl"] == 30
        assert (await api.ask("POST", api.records, cname("b", ttl=29))).chain == [9021]


async def test_a_wildcard_is_a_whole_leftmost_label(api: Api) -> None:
    assert (await api.make("*.example.org"))["name"] == "*.example.org"


async def test_a_body_that_is_no_object_is_malformed(api: Api) -> None:
    bodies: tuple[object, ...] = (None, [], "text")
    for body in bodies:
        assert (await api.ask("POST", api.records, body)).refusal == (400, 6007)


async def test_a_full_zone_takes_no_more_until_a_record_goes() -> None:
    async with serving(World(quota=2)) as api:
        record = await api.make("a")
        await api.make("b")
        assert (await api.ask("POST", api.records, cname("c"))).refusal == (400, 81045)
        usage = (await api.ask("GET", f"{api.records}/usage")).result
        assert usage == {"record_quota": 2, "record_usage": 2}
        await api.ask("DELETE", f"{api.records}/{record['id']}")
        await api.make("c")


async def test_the_quota_is_the_plans_unless_said_otherwise(api: Api) -> None:
    assert (await api.ask("GET", f"{api.records}/usage")).result == {"record_quota": 200, "record_usage": 0}
