"""Lists of records: filters, order and pages."""

import pytest

from sandbox.cloudflare.world import World
from tests.contract.cloudflare.support import Api, address, serving


async def test_a_list_is_told_in_pages_of_a_hundred(api: Api) -> None:
    for number in range(101):
        await api.make(f"a{number}")
    first, second = await api.find(), await api.find(page="2")
    assert first.body["result_info"] == {
        "page": 1,
        "per_page": 100,
        "count": 100,
        "total_count": 101,
        "total_pages": 2,
    }
    assert (len(first.result), second.names) == (100, ["a100"])
    assert second.body["result_info"]["count"] == 1


async def test_a_page_behind_the_last_one_is_empty(api: Api) -> None:
    await api.make("a")
    answer = await api.find(page="2")
    assert (answer.result, answer.body["result_info"]["total_count"]) == ([], 1)


async def test_one_page_may_hold_the_whole_zone(api: Api) -> None:
    for number in range(120):
        await api.make(f"a{number}")
    assert len((await api.find(per_page="5000000")).result) == 120


@pytest.mark.parametrize(
    "query",
    [
        {"page": "0"},
        {"per_page": "0"},
        {"per_page": "many"},
        {"order": "nonsense"},
        {"direction": "up"},
        {"match": "some"},
        {"proxied": "maybe"},
        {"name_present": ""},
        {"comment_like": "x"},
        {"tag_match": "some", "tag": "x"},
    ],
    ids=str,
)
async def test_nonsense_in_the_query_is_refused(api: Api, query: dict[str, str]) -> None:
    assert (await api.find(**query)).refusal == (400, 1004)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"name": "a.example.org"}, ["a"]),
        ({"name_exact": "A.Example.ORG"}, ["a"]),
        ({"name_startswith": "b"}, ["b", "b-oc"]),
        ({"name_endswith": "-oc.example.org"}, ["b-oc"]),
        ({"name_endswith": "-oc"}, []),
        ({"name_contains": "-O"}, ["b-oc"]),
        ({"content": "192.0.2.1"}, ["host"]),
        ({"content_exact": "one.example.net"}, ["a"]),
        ({"content_startswith": "two"}, ["b", "b-oc"]),
        ({"content_endswith": "example.net"}, ["a", "b", "b-oc"]),
        ({"content_contains": "O.EX"}, ["b", "b-oc"]),
        ({"comment": "managed by us"}, ["a"]),
        ({"comment_exact": "Managed By Us"}, ["a"]),
        ({"comment_startswith": "managed by"}, ["a", "b"]),
        ({"comment_endswith": "them"}, ["b"]),
        ({"comment_contains": "ged"}, ["a", "b"]),
        ({"comment_present": ""}, ["a", "b"]),
        ({"comment_absent": ""}, ["b-oc", "host"]),
        ({"type": "A"}, ["host"]),
        ({"type": "cname", "comment_startswith": "managed"}, ["a", "b"]),
        ({"proxied": "true"}, ["a"]),
        ({"proxied": "false", "type": "CNAME"}, ["b", "b-oc"]),
        ({"name_startswith": "a", "type": "A", "match": "any"}, ["a", "host"]),
        ({"name_startswith": "a", "type": "A", "match": "all"}, []),
        ({"match": "any"}, ["a", "b", "b-oc", "host"]),
    ],
    ids=str,
)
async def test_filters_are_conjunct_and_look_at_no_case(api: Api, query: dict[str, str], names: list[str]) -> None:
    await api.make("a", content="one.example.net", proxied=True, comment="managed by us")
    await api.make("b", content="two.example.net", comment="managed by them")
    await api.make("b-oc", content="two.example.net")
    await api.ask("POST", api.records, address("host"))
    answer = await api.find(**query)
    assert answer.names == names
    assert answer.body["result_info"]["total_count"] == len(names)


async def test_tags_can_be_looked_for() -> None:
    async with serving(World(plan="pro")) as api:
        await api.make("a", tags=["Team:One", "x"])
        await api.make("b")
        found = [
            (await api.find(**query)).names
            for query in ({"tag": "team:one"}, {"tag_present": "team"}, {"tag_absent": "team"}, {"tag_endswith": "One"})
        ]
        assert found == [["a"], ["a"], ["b"], ["a"]]
        both = {"tag.exact": "x", "tag.startswith": "team:two"}
        assert (await api.ask("GET", api.records, query=both)).names == []
        assert (await api.ask("GET", api.records, query={**both, "tag_match": "any"})).names == ["a"]


async def test_a_search_looks_into_every_text(api: Api) -> None:
    await api.make("needle")
    await api.make("b", content="needle.example.net")
    await api.make("c", comment="a Needle, too")
    await api.make("d")
    assert (await api.find(search="needle")).names == ["needle", "b", "c"]


async def test_a_parameter_that_nobody_knows_is_ignored(api: Api) -> None:
    await api.make("a")
    assert (await api.find(tomorrow="x")).names == ["a"]


async def test_a_list_can_be_ordered_both_ways(api: Api) -> None:
    await api.make("b", ttl=60)
    await api.make("c", ttl=3600)
    await api.make("a", ttl=300)
    assert (await api.find()).names == ["b", "c", "a"]
    assert (await api.find(order="name")).names == ["a", "b", "c"]
    assert (await api.find(order="ttl", direction="desc")).names == ["c", "a", "b"]
