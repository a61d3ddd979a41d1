"""What can be made to go wrong, and what of a request then happens all the same."""

import asyncio
import gc
from typing import Any

import aiohttp
import pytest

from sandbox.cloudflare.server import running
from sandbox.cloudflare.switchboard import Switchboard
from sandbox.cloudflare.world import World
from tests.contract.cloudflare.support import CATCH_ALL, Answer, Api, cname, rule, serving

POST = {"method": "POST", "path": ".*/dns_records"}
LIST = {"method": "GET", "path": ".*/dns_records"}
PUT = {"method": "PUT", "path": ".*/configurations"}
FOR_EVER = 3600.0


async def disturb(api: Api, *rules: dict[str, Any]) -> None:
    assert (await api.turn("PUT", "faults", list(rules))).status == 200


async def until_held(api: Api) -> None:
    """Wait for a held request; the test's own time limit ends this."""
    while not (await api.turn("GET", "held")).body:
        await asyncio.sleep(0)


def names(api: Api) -> list[str]:
    return [record["name"].partition(".")[0] for record in api.world.records.all()]


async def cut_off(api: Api, method: str, path: str, body: object = None) -> None:
    with pytest.raises(aiohttp.ClientError):
        await api.ask(method, path, body)


@pytest.mark.parametrize(("when", "left"), [("before", []), ("after", ["a"])])
async def test_an_error_comes_before_or_after_the_effect(api: Api, when: str, left: list[str]) -> None:
    await disturb(api, {"match": POST, "times": 1, "status": {"code": 502, "when": when}})
    answer = await api.ask("POST", api.records, cname("a"))
    assert (answer.status, answer.body["success"]) == (502, False)
    assert names(api) == left
    await api.make("b")


async def test_a_refusal_tells_the_code_and_the_pause_that_it_is_given(api: Api) -> None:
    await disturb(api, {"match": LIST, "status": {"code": 429, "error": 971, "message": "slow", "retry_after": 7}})
    answer = await api.find()
    assert answer.refusal == (429, 971)
    assert (answer.headers["Retry-After"], answer.body["errors"][0]["message"]) == ("7", "slow")


@pytest.mark.parametrize(("when", "left"), [("before", []), ("after", ["a"])])
async def test_a_connection_is_closed_before_or_after_the_effect(api: Api, when: str, left: list[str]) -> None:
    await disturb(api, {"match": POST, "drop": when})
    await cut_off(api, "POST", api.records, cname("a"))
    assert names(api) == left
    assert api.switchboard.calls[-1].status == 0


async def test_a_late_effect_has_not_come_when_the_connection_is_cut(api: Api) -> None:
    await disturb(api, {"match": POST, "late": FOR_EVER})
    await cut_off(api, "POST", api.records, cname("a"))
    assert names(api) == []


async def test_a_late_effect_comes_without_anybody_waiting_for_it(api: Api) -> None:
    await disturb(api, {"match": POST, "late": 0.01})
    await cut_off(api, "POST", api.records, cname("a"))
    while names(api) != ["a"]:
        await asyncio.sleep(0.005)


async def test_nobody_is_told_of_a_closed_connection_that_nobody_waited_for(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    await disturb(api, {"match": POST, "hold": "before"}, {"match": POST, "drop": "after"})
    asking = asyncio.create_task(api.ask("POST", api.records, cname("a")))
    await until_held(api)
    asking.cancel()
    await asyncio.wait([asking])
    await api.turn("POST", "release")
    while names(api) != ["a"]:
        await asyncio.sleep(0)
    gc.collect()
    assert caplog.messages == []


async def test_a_client_that_gives_up_does_not_undo_its_request(api: Api) -> None:
    await disturb(api, {"match": POST, "hold": "before"})
    asking = asyncio.create_task(api.ask("POST", api.records, cname("a")))
    await until_held(api)
    asking.cancel()
    await asyncio.wait([asking])
    assert names(api) == []
    await api.turn("POST", "release")
    while names(api) != ["a"]:
        await asyncio.sleep(0)


@pytest.mark.parametrize(("when", "left"), [("before", []), ("after", ["a"])])
async def test_a_request_can_be_held_exactly_before_or_after_its_effect(api: Api, when: str, left: list[str]) -> None:
    await disturb(api, {"match": POST, "hold": when})
    asking = asyncio.create_task(api.ask("POST", api.records, cname("a")))
    await until_held(api)
    assert (await api.turn("GET", "held")).body == [{"id": 1, "method": "POST", "path": api.records, "when": when}]
    assert names(api) == left
    assert api.switchboard.calls[-1].status is None
    assert (await api.turn("POST", "release")).body == {"released": 1}
    assert (await asking).status == 200
    assert (await api.turn("GET", "held")).body == []


async def test_one_held_request_can_be_released_alone(api: Api) -> None:
    await disturb(api, {"match": POST, "hold": "before"})
    tasks = [asyncio.create_task(api.ask("POST", api.records, cname(name))) for name in ("a", "b")]
    while len(api.switchboard.held()) < 2:
        await asyncio.sleep(0)
    last = api.switchboard.held()[1]["id"]
    assert (await api.turn("POST", "release", {"id": last})).body == {"released": 1}
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(waiting), len(names(api))) == (1, 1, 1)
    await api.turn("POST", "release")
    await asyncio.gather(*tasks)


async def test_a_list_can_be_of_an_earlier_time_than_its_delivery(api: Api) -> None:
    await api.make("a")
    await disturb(api, {"match": LIST, "hold": "after"})
    asking = asyncio.create_task(api.find())
    await until_held(api)
    await api.make("b")
    await api.turn("POST", "release")
    assert (await asking).names == ["a"]


async def test_latency_comes_before_the_effect_and_staleness_behind_it(api: Api) -> None:
    loop = asyncio.get_running_loop()
    for action in ("latency", "stale"):
        await disturb(api, {"match": LIST, "times": 1, action: 0.05})
        begun = loop.time()
        await api.find()
        assert loop.time() - begun >= 0.05


async def test_a_stale_answer_was_right_when_it_was_asked_for(api: Api) -> None:
    await disturb(api, {"match": LIST, "times": 1, "stale": 0.3})
    asking = asyncio.create_task(api.find())
    while not api.switchboard.total:
        await asyncio.sleep(0)
    await api.make("a")
    assert (await asking).names == []


async def test_another_writer_is_faster_than_a_put_that_has_read_before_it(api: Api) -> None:
    theirs = {"ingress": [rule("theirs.example.org"), CATCH_ALL]}
    await disturb(api, {"match": PUT, "times": 1, "intrude": theirs})
    read = (await api.ask("GET", api.document)).result["version"]
    written = (await api.configure(rule("mine.example.org"))).result
    assert (read, written["version"]) == (0, 2), "the jump is all that tells"
    assert written["config"]["ingress"][0]["hostname"] == "mine.example.org"
    assert (await api.configure(rule())).result["version"] == 3


async def test_another_writer_can_put_its_rules_in_front_for_ever(api: Api) -> None:
    theirs = rule("theirs.example.org")
    await disturb(api, {"match": {"method": "GET", "path": PUT["path"]}, "insert": [theirs]})
    await api.configure(rule("mine.example.org"), originRequest={"connectTimeout": 3})
    seen = [(await api.ask("GET", api.document)).result for _ in range(2)]
    assert [result["version"] for result in seen] == [2, 3]
    for result in seen:
        assert result["config"]["ingress"] == [theirs, rule("mine.example.org"), CATCH_ALL]
        assert result["config"]["originRequest"] == {"connectTimeout": 3}


async def test_another_writer_can_be_the_first_one(api: Api) -> None:
    await disturb(api, {"match": PUT, "times": 1, "insert": [rule("theirs.example.org")]})
    assert (await api.configure(rule())).result["version"] == 2


async def test_a_list_can_be_cut_short_and_still_count_everything(api: Api) -> None:
    for name in ("a", "b", "c"):
        await api.make(name)
    await disturb(api, {"match": LIST, "truncate": 1})
    answer = await api.find()
    assert (answer.names, answer.body["result_info"]["total_count"]) == (["a"], 3)


async def test_what_is_no_list_cannot_be_cut_short(api: Api) -> None:
    await disturb(api, {"truncate": 1})
    assert (await api.ask("GET", api.zone)).result["name"] == "example.org"


async def test_a_list_can_end_with_an_error_on_its_second_page(api: Api) -> None:
    for name in ("a", "b", "c"):
        await api.make(name)
    await disturb(api, {"match": {**LIST, "query": {"page": "2"}}, "status": {"code": 503}})
    assert (await api.find(per_page="2")).names == ["a", "b"]
    assert (await api.find(per_page="2", page="2")).status == 503


async def test_an_answer_can_break_off_in_the_middle(api: Api) -> None:
    await disturb(api, {"match": POST, "times": 1, "cut": 20})
    headers = {"Authorization": "Bearer sandbox-token"}
    async with api.http.post(api.places.api + api.records, json=cname("a"), headers=headers) as reply:
        assert reply.status == 200
        assert await reply.content.readexactly(20) == b'{"success": true, "e'
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()
    assert names(api) == ["a"]


async def test_rules_are_used_in_order_and_counted_down(api: Api) -> None:
    twice = {"match": LIST, "times": 2, "status": {"code": 500}}
    rest = {"match": {"method": "DELETE"}, "drop": "before"}
    await disturb(api, twice, rest)
    assert [(await api.find()).status for _ in range(3)] == [500, 500, 200]
    assert (await api.turn("GET", "faults")).body == [rest]
    await api.turn("DELETE", "faults")
    assert (await api.turn("GET", "faults")).body == []


@pytest.mark.parametrize(
    "nonsense",
    [
        {},
        [{"drop": "never"}],
        [{"unknown": 1}],
        [{"late": "soon"}],
        [{"status": 500}],
        [{"status": {}}],
        [{"status": {"code": 500, "when": "never"}}],
        [{"status": {"code": 399}}],
        [{"status": {"code": 600}}],
        [{"status": {"code": 429, "error": "971"}}],
        [{"status": {"code": 429, "retry_after": "soon"}}],
        [{"status": {"code": 429, "retry-after": 1}}],
        [{"truncate": -1}],
        [{"truncate": True}],
        [{"cut": "here"}],
        [{"intrude": {"ingress": []}}],
        [{"intrude": []}],
        [{"insert": [{"service": "http_status:404"}]}],
        [{"insert": {}}],
        [{"times": 0, "drop": "before"}],
    ],
    ids=str,
)
async def test_what_is_no_rule_is_refused_and_leaves_the_others(api: Api, nonsense: object) -> None:
    kept = {"match": LIST, "drop": "before"}
    await disturb(api, kept)
    answer = await api.turn("PUT", "faults", nonsense)
    assert (answer.status, list(answer.body)) == (400, ["error"])
    assert (await api.turn("GET", "faults")).body == [kept]


async def test_a_held_request_is_let_go_when_the_server_ends() -> None:
    board = Switchboard(World())
    async with aiohttp.ClientSession() as http:
        async with running(board.world, switchboard=board) as places:
            api = Api(http, places, board)
            await disturb(api, {"match": POST, "hold": "before"})
            asking = asyncio.create_task(api.ask("POST", api.records, cname("a")))
            await until_held(api)
        assert (await asking).result["name"] == "a.example.org"


async def test_the_server_ends_whatever_still_waits() -> None:
    async with serving() as api:
        await disturb(api, {"match": POST, "times": 1, "late": FOR_EVER}, {"match": LIST, "latency": FOR_EVER})
        await cut_off(api, "POST", api.records, cname("a"))
        asking: asyncio.Task[Answer] = asyncio.create_task(api.find())
        while api.switchboard.total < 2:
            await asyncio.sleep(0)
        world = api.world
        asking.cancel()
        await asyncio.wait([asking])
    assert world.records.all() == []
    assert asyncio.all_tasks() == {asyncio.current_task()}
