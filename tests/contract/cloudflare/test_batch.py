"""Batches of records: their order, and that they are all or nothing."""

from typing import Any

import pytest

from sandbox.cloudflare.world import World
from tests.contract.cloudflare.support import Api, address, cname, serving


async def test_a_batch_answers_with_whole_records_by_kind(api: Api) -> None:
    gone, patched, put = await api.make("a"), await api.make("b", proxied=True), await api.make("c", proxied=True)
    result = (
        await api.ask(
            "POST",
            api.batch,
            {
                "deletes": [{"id": gone["id"]}],
                "patches": [{"id": patched["id"], "comment": "new"}],
                "puts": [{"id": put["id"], **cname("e")}],
                "posts": [cname("f"), cname("g")],
            },
        )
    ).result
    assert list(result) == ["deletes", "patches", "puts", "posts"]
    assert result["deletes"] == [gone]
    assert (result["patches"][0]["proxied"], result["patches"][0]["comment"]) == (True, "new")
    assert (result["puts"][0]["name"], result["puts"][0]["proxied"]) == ("e.example.org", False)
    assert [record["name"] for record in result["posts"]] == ["f.example.org", "g.example.org"]
    assert (await api.find(order="name")).names == ["b", "e", "f", "g"]


async def test_deletes_come_before_patches_before_puts_before_posts(api: Api) -> None:
    first, second = await api.make("a"), await api.make("b")
    third = await api.make("c")
    body = {
        "posts": [cname("c", comment="posted")],
        "puts": [{"id": third["id"], **cname("b", comment="put")}],
        "patches": [{"id": second["id"], "name": "a.example.org"}],
        "deletes": [{"id": first["id"]}],
    }
    assert (await api.ask("POST", api.batch, body)).status == 200
    assert [(r["name"][0], r["comment"]) for r in (await api.find(order="name")).result] == [
        ("a", None),
        ("b", "put"),
        ("c", "posted"),
    ]


@pytest.mark.parametrize(
    ("bad", "refusal"),
    [
        ({"posts": [cname("new"), cname("a")]}, (400, 81053)),
        ({"posts": [cname("new"), cname("new")]}, (400, 81053)),
        ({"posts": [cname("new"), cname("x", comment="x" * 101)]}, (400, 1004)),
        ({"posts": [cname("new")], "deletes": [{"id": "0" * 32}]}, (404, 81044)),
        ({"posts": [cname("new")], "patches": [{"comment": "no id"}]}, (404, 81044)),
        ({"posts": [cname("new")], "patches": [{"id": ["no text"]}]}, (404, 81044)),
        ({"posts": "nonsense"}, (400, 6007)),
        ({"posts": [cname("new"), "nonsense"]}, (400, 6007)),
    ],
    ids=str,
)
async def test_one_bad_member_undoes_all_the_others(api: Api, bad: dict[str, Any], refusal: tuple[int, int]) -> None:
    kept, changed = await api.make("a"), await api.make("b")
    before = api.world.snapshot()
    body = {
        **bad,
        "deletes": [{"id": changed["id"]}, *bad.get("deletes", [])],
        "patches": [{"id": kept["id"], "comment": "new"}, *bad.get("patches", [])],
    }
    assert (await api.ask("POST", api.batch, body)).refusal == refusal
    assert api.world.snapshot() == before
    assert (await api.find(name=kept["name"])).result == [kept]


async def test_the_first_error_is_told_and_no_other(api: Api) -> None:
    await api.make("a")
    answer = await api.ask("POST", api.batch, {"posts": [cname("a"), cname("b", ttl=2), address("a")]})
    assert [error["code"] for error in answer.body["errors"]] == [81053]


async def test_a_batch_that_would_overfill_the_zone_adds_nothing() -> None:
    async with serving(World(quota=3)) as api:
        record = await api.make("a")
        posts = [cname(f"b{number}") for number in range(3)]
        assert (await api.ask("POST", api.batch, {"posts": posts})).refusal == (400, 81045)
        assert len(api.world.records.all()) == 1
        assert (await api.ask("POST", api.batch, {"deletes": [{"id": record["id"]}], "posts": posts})).status == 200


@pytest.mark.parametrize(("plan", "limit"), [("free", 200), ("pro", 3500)])
async def test_a_plan_limits_the_members_of_a_batch(plan: str, limit: int) -> None:
    async with serving(World(plan=plan, quota=10_000)) as api:
        posts = [cname(f"a{number}") for number in range(limit + 1)]
        assert (await api.ask("POST", api.batch, {"posts": posts})).status == 400
        assert api.world.records.all() == []
        assert (await api.ask("POST", api.batch, {"posts": posts[:limit]})).status == 200


async def test_members_of_every_kind_count(api: Api) -> None:
    record = await api.make("a")
    body = {"patches": [{"id": record["id"]}] * 100, "posts": [cname(f"b{number}") for number in range(101)]}
    assert (await api.ask("POST", api.batch, body)).status == 400
    assert (await api.ask("POST", api.batch, {**body, "patches": body["patches"][1:]})).status == 200


async def test_an_empty_batch_does_nothing(api: Api) -> None:
    result = (await api.ask("POST", api.batch, {})).result
    assert result == {"deletes": [], "patches": [], "puts": [], "posts": []}
