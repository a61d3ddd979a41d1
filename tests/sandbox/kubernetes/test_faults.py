"""What goes wrong on demand, over HTTP."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.contract.kubernetes.support import Cluster, Watching, eventually, lease, pod, rv

POD = "/api/v1/namespaces/ns/pods/p"


async def rules(sandbox: Cluster, *documents: Any) -> None:
    answer = await sandbox.ask("PUT", "/_sandbox/faults", list(documents))
    assert answer.status == 200, answer.body


async def test_a_status_before_the_effect_is_told_so_often_and_nothing_happens(sandbox: Cluster) -> None:
    match = {"method": "POST", "path": ".*/pods"}
    await rules(sandbox, {"match": match, "times": 2, "status": {"code": 403, "message": "no right"}})
    for _ in range(2):
        answer = await sandbox.ask("POST", sandbox.pods, pod("p"))
        assert answer.reason == (403, "Forbidden")
        assert answer.body["message"] == "no right"
    assert (await sandbox.ask("GET", POD)).status == 404
    assert (await sandbox.ask("POST", sandbox.pods, pod("p"))).status == 201


async def test_a_status_after_the_effect_hides_what_has_happened(sandbox: Cluster) -> None:
    await rules(sandbox, {"match": {"method": "POST"}, "times": 1, "status": {"code": 504, "when": "after"}})
    assert (await sandbox.ask("POST", sandbox.pods, pod("p"))).reason == (504, "Timeout")
    assert (await sandbox.ask("GET", POD)).status == 200


@pytest.mark.parametrize(("when", "status"), [("before", 404), ("after", 200)])
async def test_a_dropped_connection_leaves_no_answer(sandbox: Cluster, when: str, status: int) -> None:
    await rules(sandbox, {"match": {"method": "POST"}, "times": 1, "drop": when})
    with pytest.raises(aiohttp.ClientError):
        await sandbox.ask("POST", sandbox.pods, pod("p"))
    assert (await sandbox.ask("GET", POD)).status == status


async def test_a_held_request_waits_for_its_release_and_has_its_effect_though_the_client_has_gone(
    sandbox: Cluster,
) -> None:
    await rules(sandbox, {"match": {"method": "POST"}, "times": 1, "hold": "before"})
    request = asyncio.create_task(sandbox.ask("POST", sandbox.pods, pod("p")))
    held = await eventually(lambda: answered(sandbox, "/_sandbox/held"))
    assert held == [{"method": "POST", "path": "/api/v1/namespaces/ns/pods", "when": "before"}]
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    assert (await sandbox.ask("GET", POD)).status == 404
    assert (await sandbox.ask("POST", "/_sandbox/release")).body == {"released": 1}
    assert (await sandbox.ask("GET", POD)).status == 200


async def test_latency_delays_one_request_and_no_other(sandbox: Cluster) -> None:
    await rules(sandbox, {"match": {"method": "POST"}, "times": 1, "latency": 0.2})
    slow = asyncio.create_task(sandbox.ask("POST", sandbox.pods, pod("p")))
    assert (await sandbox.ask("GET", sandbox.pods)).body["items"] == []
    assert (await slow).status == 201


async def test_a_query_is_matched_or_its_absence(sandbox: Cluster) -> None:
    await rules(sandbox, {"match": {"query": {"watch": None, "limit": "1|2"}}, "status": {"code": 500}})
    assert (await sandbox.ask("GET", sandbox.pods, limit="2")).status == 500
    assert (await sandbox.ask("GET", sandbox.pods, limit="3")).status == 200
    assert (await sandbox.ask("GET", sandbox.pods)).status == 200


async def test_the_rules_in_force_can_be_read_and_taken_away(sandbox: Cluster) -> None:
    rule = {"match": {"method": "GET", "path": "/api/.*"}, "times": 2, "status": {"code": 500}}
    await rules(sandbox, rule)
    await sandbox.ask("GET", sandbox.pods)
    assert (await sandbox.ask("GET", "/_sandbox/faults")).body == [rule | {"times": 1}]
    await sandbox.ask("DELETE", "/_sandbox/faults")
    assert (await sandbox.ask("GET", sandbox.pods)).status == 200


@pytest.mark.parametrize(
    "rule",
    [
        "no rule",
        {},
        {"latency": 1, "drop": "before"},
        {"invented": 1},
        {"latency": -1},
        {"drop": "never"},
        {"watch": "stare"},
        {"status": {}},
        {"status": 500},
        {"times": 0, "latency": 1},
        {"match": {"path": "("}, "latency": 1},
        {"match": {"host": "x"}, "latency": 1},
    ],
    ids=str,
)
async def test_what_is_no_rule_is_refused_with_a_reason_and_changes_nothing(sandbox: Cluster, rule: Any) -> None:
    await rules(sandbox, {"latency": 0})
    answer = await sandbox.ask("PUT", "/_sandbox/faults", [rule])
    assert answer.status == 400
    assert answer.body["error"]
    assert (await sandbox.ask("GET", "/_sandbox/faults")).body == [{"latency": 0}]


async def answered(sandbox: Cluster, path: str) -> Any:
    return (await sandbox.ask("GET", path)).body


async def is_up(sandbox: Cluster) -> bool:
    return not (await answered(sandbox, "/_sandbox/settings"))["down"]


async def watched(sandbox: Cluster, watch: Watching, name: str) -> tuple[str, str]:
    await sandbox.make(sandbox.pods, pod(name))
    return await watch.told()


async def test_a_watch_is_cut_at_once(sandbox: Cluster) -> None:
    async with sandbox.watch(sandbox.pods) as watch:
        assert await watched(sandbox, watch, "p") == ("ADDED", "p")
        await rules(sandbox, {"match": {"query": {"watch": "true"}}, "times": 1, "watch": "cut"})
        with pytest.raises(aiohttp.ClientError):
            await watch.event()
    async with sandbox.watch(sandbox.pods) as watch:
        assert await watch.told() == ("ADDED", "p")


async def test_a_silent_watch_stays_open_and_says_nothing_though_the_rule_is_used_up(sandbox: Cluster) -> None:
    async with sandbox.watch(sandbox.pods) as silent:
        await rules(sandbox, {"match": {"path": ".*/pods"}, "times": 1, "watch": "silent"})
        async with sandbox.watch(sandbox.pods) as other:
            assert await watched(sandbox, other, "p") == ("ADDED", "p")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await silent.event()


async def test_events_are_swallowed_and_told_twice(sandbox: Cluster) -> None:
    await rules(sandbox, {"times": 2, "watch": "swallow"}, {"times": 1, "watch": "duplicate"})
    async with sandbox.watch(sandbox.pods) as watch:
        for name in ("a", "b", "c", "d"):
            await sandbox.make(sandbox.pods, pod(name))
        told = [(await watch.told())[1] for _ in range(3)]
    assert told == ["c", "c", "d"]


async def test_a_delayed_event_comes(sandbox: Cluster) -> None:
    await rules(sandbox, {"times": 1, "watch": {"delay": 0.1}})
    async with sandbox.watch(sandbox.pods) as watch:
        assert await watched(sandbox, watch, "p") == ("ADDED", "p")


async def test_an_expired_page_tells_where_to_go_on(sandbox: Cluster) -> None:
    for name in ("a", "b"):
        await sandbox.make(sandbox.pods, pod(name))
    first = await sandbox.get(sandbox.pods, limit="1")
    await sandbox.make(sandbox.pods, pod("c"))
    await sandbox.forget()
    answer = await sandbox.ask("GET", sandbox.pods, limit="1", **{"continue": first["metadata"]["continue"]})
    assert answer.reason == (410, "Expired")
    rest = await sandbox.get(sandbox.pods, **{"continue": answer.body["metadata"]["continue"]})
    assert [item["metadata"]["name"] for item in rest["items"]] == ["b", "c"]


async def test_a_short_history_forgets_by_itself(sandbox: Cluster) -> None:
    await sandbox.ask("PATCH", "/_sandbox/settings", {"history": 1})
    made = await sandbox.make(sandbox.pods, pod("a"))
    for name in ("b", "c"):
        await sandbox.make(sandbox.pods, pod(name))
    async with sandbox.watch(sandbox.pods, resourceVersion=rv(made)) as watch:
        assert (await watch.event())["object"]["code"] == 410


async def test_a_running_watch_outlives_a_forgotten_history(sandbox: Cluster) -> None:
    async with sandbox.watch(sandbox.pods) as watch:
        await sandbox.forget()
        assert await watched(sandbox, watch, "p") == ("ADDED", "p")


async def test_bookmarks_come_when_nothing_else_does(sandbox: Cluster) -> None:
    await sandbox.ask("PATCH", "/_sandbox/settings", {"bookmark_interval": 0.01})
    async with sandbox.watch(sandbox.pods, allowWatchBookmarks="true") as watch:
        assert (await watch.event())["type"] == "BOOKMARK"


async def test_an_outage_ends_streams_refuses_requests_and_ends(sandbox: Cluster) -> None:
    async with sandbox.watch(sandbox.pods) as watch:
        await sandbox.ask("PATCH", "/_sandbox/settings", {"down": True})
        with pytest.raises(aiohttp.ClientError):
            await watch.event()
    with pytest.raises(aiohttp.ClientError):
        await sandbox.ask("GET", sandbox.pods)
    await sandbox.ask("POST", "/_sandbox/outage", {"seconds": 0})
    await eventually(lambda: is_up(sandbox))
    assert (await sandbox.ask("GET", sandbox.pods)).status == 200


@pytest.mark.parametrize("wanted", [{"watchlist": "yes"}, {"invented": 1}, [], {"history": "1"}], ids=str)
async def test_settings_that_cannot_be_are_refused(sandbox: Cluster, wanted: Any) -> None:
    answer = await sandbox.ask("PATCH", "/_sandbox/settings", wanted)
    assert answer.status == 400


async def test_the_watchlist_can_be_turned_off_while_it_runs(sandbox: Cluster) -> None:
    await sandbox.ask("PATCH", "/_sandbox/settings", {"watchlist": False})
    query = {"watch": "true", "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    assert (await sandbox.ask("GET", sandbox.pods, **query)).reason == (422, "Invalid")


async def test_calls_are_counted_by_method_path_status_and_content_type(sandbox: Cluster) -> None:
    await sandbox.make(sandbox.leases, lease("l"))
    for _ in range(2):
        await sandbox.patch(f"{sandbox.leases}/l", {})
    counted = (await sandbox.ask("DELETE", "/_sandbox/calls")).body
    assert {
        "method": "PATCH",
        "path": f"{sandbox.leases}/l",
        "status": 200,
        "content_type": "application/merge-patch+json",
        "is_watch": False,
        "count": 2,
    } in counted
    assert (await sandbox.ask("GET", "/_sandbox/calls")).body == []


async def test_a_token_is_asked_for_when_there_is_one(sandbox: Cluster) -> None:
    await sandbox.ask("PATCH", "/_sandbox/settings", {"token": "secret"})
    assert (await sandbox.ask("GET", sandbox.pods)).reason == (401, "Unauthorized")
    sandbox.headers["Authorization"] = "Bearer secret"
    assert (await sandbox.ask("GET", sandbox.pods)).status == 200
