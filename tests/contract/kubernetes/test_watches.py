"""Watches: what is told, from where, and how a stream ends."""

import pytest

from tests.contract.kubernetes.support import JSON_PATCH, PARTIAL, Cluster, Json, pod, route, rv

STREAMED_LIST = {
    "sendInitialEvents": "true",
    "resourceVersionMatch": "NotOlderThan",
    "allowWatchBookmarks": "true",
}


async def moment(cluster: Cluster, path: str) -> str:
    return rv(await cluster.get(path))


async def test_a_watch_tells_every_change_after_its_resource_version(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("before"))
    start = await moment(cluster, cluster.pods)
    await cluster.make(cluster.pods, pod("p"))
    async with cluster.watch(cluster.pods, resourceVersion=start) as watch:
        added = await watch.event()
        assert (added["type"], added["object"]["metadata"]["name"]) == ("ADDED", "p")
        assert (added["object"]["kind"], added["object"]["apiVersion"]) == ("Pod", "v1")
        patched = await cluster.patch(f"{cluster.pods}/p", {"metadata": {"annotations": {"a": "1"}}})
        modified = await watch.event()
        assert (modified["type"], modified["object"]) == ("MODIFIED", patched.body)


async def test_a_pod_without_node_is_told_as_ending_and_then_as_deleted(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p"))
    async with cluster.watch(cluster.pods, resourceVersion=await moment(cluster, cluster.pods)) as watch:
        await cluster.ask("DELETE", f"{cluster.pods}/p")
        modified, deleted = await watch.event(), await watch.event()
    assert (modified["type"], deleted["type"]) == ("MODIFIED", "DELETED")
    assert modified["object"]["metadata"]["deletionGracePeriodSeconds"] == 0
    assert deleted["object"]["metadata"]["deletionTimestamp"]
    assert int(rv(deleted["object"])) > int(rv(modified["object"]))


async def test_a_pod_on_a_node_is_told_as_ending_until_its_kubelet_lets_it_go(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p", node="n"))
    async with cluster.watch(cluster.pods, resourceVersion=await moment(cluster, cluster.pods)) as watch:
        await cluster.ask("DELETE", f"{cluster.pods}/p")
        ending = await watch.event()
        assert ending["type"] == "MODIFIED"
        assert ending["object"]["metadata"]["deletionTimestamp"]
        await cluster.ask("DELETE", f"{cluster.pods}/p", {"gracePeriodSeconds": 0})
        assert [await watch.told(), await watch.told()] == [("MODIFIED", "p"), ("DELETED", "p")]


async def test_a_deleted_route_is_told_once(cluster: Cluster) -> None:
    await cluster.make(cluster.routes, route("r"))
    async with cluster.watch(cluster.routes, resourceVersion=await moment(cluster, cluster.routes)) as watch:
        await cluster.ask("DELETE", f"{cluster.routes}/r")
        await cluster.make(cluster.routes, route("next"))
        assert [await watch.told(), await watch.told()] == [("DELETED", "r"), ("ADDED", "next")]


@pytest.mark.parametrize("accept", ["application/json", PARTIAL])
async def test_what_leaves_the_selection_is_deleted_without_deletion_timestamp_and_what_enters_is_added(
    cluster: Cluster, accept: str
) -> None:
    await cluster.make(cluster.pods, pod("p", labels={"ours": "yes"}))
    start = await moment(cluster, cluster.pods)
    async with cluster.watch(cluster.pods, accept=accept, resourceVersion=start, labelSelector="ours=yes") as watch:
        left = await cluster.patch(f"{cluster.pods}/p", {"metadata": {"labels": {"ours": "no"}}})
        deleted = await watch.event()
        assert deleted["type"] == "DELETED"
        assert "deletionTimestamp" not in deleted["object"]["metadata"]
        assert deleted["object"]["metadata"]["labels"] == {"ours": "yes"}
        assert rv(deleted["object"]) == rv(left.body)
        await cluster.patch(f"{cluster.pods}/p", {"metadata": {"labels": {"ours": "yes"}}})
        assert await watch.told() == ("ADDED", "p")


async def test_a_field_selector_is_left_by_a_change_of_status(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p"))
    start = await moment(cluster, cluster.pods)
    async with cluster.watch(cluster.pods, resourceVersion=start, fieldSelector="status.phase=Pending") as watch:
        await cluster.patch(f"{cluster.pods}/p/status", {"status": {"phase": "Running"}})
        assert await watch.told() == ("DELETED", "p")


async def test_other_namespaces_and_other_labels_are_not_told(cluster: Cluster) -> None:
    start = await moment(cluster, cluster.pods)
    async with cluster.watch(cluster.pods, resourceVersion=start, labelSelector="x in (1,2)") as watch:
        await cluster.make("/api/v1/namespaces/default/pods", pod(f"x-{cluster.namespace}", labels={"x": "1"}))
        await cluster.make(cluster.pods, pod("other", labels={"x": "3"}))
        await cluster.make(cluster.pods, pod("wanted", labels={"x": "2"}))
        assert await watch.told() == ("ADDED", "wanted")


@pytest.mark.parametrize("query", [{}, {"resourceVersion": "0"}], ids=str)
async def test_a_watch_from_nowhere_begins_with_what_is_there(cluster: Cluster, query: dict[str, str]) -> None:
    await cluster.make(cluster.pods, pod("p"))
    await cluster.get(cluster.pods)
    async with cluster.watch(cluster.pods, **query) as watch:
        assert await watch.told() == ("ADDED", "p")


async def test_a_watch_of_metadata_alone(cluster: Cluster) -> None:
    start = await moment(cluster, cluster.pods)
    async with cluster.watch(cluster.pods, accept=PARTIAL, resourceVersion=start) as watch:
        made = await cluster.make(cluster.pods, pod("p", annotations={"a": "1"}))
        event = await watch.event()
    kind = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    assert event == {"type": "ADDED", "object": kind | {"metadata": made["metadata"]}}


async def test_a_watch_ends_when_its_time_is_over(cluster: Cluster) -> None:
    start = await moment(cluster, cluster.pods)
    async with cluster.watch(cluster.pods, resourceVersion=start, timeoutSeconds="1") as watch:
        assert await watch.rest() == []


async def test_bookmarks_are_told_to_those_who_ask_before_the_time_is_over(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p"))
    start = await moment(cluster, cluster.pods)
    async with cluster.watch(
        cluster.pods, accept=PARTIAL, resourceVersion=start, timeoutSeconds="3", allowWatchBookmarks="true"
    ) as watch:
        made = await cluster.make(cluster.pods, pod("q"))
        added, *bookmarks = await watch.rest()
    assert added["type"] == "ADDED"
    assert {event["type"] for event in bookmarks} == {"BOOKMARK"}
    assert bookmarks[-1]["object"]["kind"] == "PartialObjectMetadata"
    assert int(rv(bookmarks[-1]["object"])) >= int(rv(made))


async def test_a_watch_from_before_the_history_gets_410_in_the_stream(cluster: Cluster) -> None:
    made = await cluster.make(cluster.pods, pod("p"))
    await cluster.make(cluster.pods, pod("q"))
    await cluster.forget()
    async with cluster.watch(cluster.pods, resourceVersion=rv(made)) as watch:
        (event,) = await watch.rest()
    assert event["type"] == "ERROR"
    status: Json = event["object"]
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
    assert status["message"].startswith(f"too old resource version: {rv(made)} (")


@pytest.mark.parametrize("accept", ["application/json", PARTIAL])
async def test_a_streamed_list_ends_with_a_bookmark_and_goes_on_as_a_watch(cluster: Cluster, accept: str) -> None:
    if not cluster.watchlist:
        answer = await cluster.ask("GET", cluster.pods, watch="true", **STREAMED_LIST)
        assert answer.reason == (422, "Invalid")
        assert answer.body["details"]["causes"][0]["field"] == "sendInitialEvents"
        return
    for name in ("b", "a"):
        await cluster.make(cluster.pods, pod(name))
    async with cluster.watch(cluster.pods, accept=accept, **STREAMED_LIST) as watch:
        assert {await watch.told(), await watch.told()} == {("ADDED", "a"), ("ADDED", "b")}
        end = await watch.event()
        assert end["type"] == "BOOKMARK"
        assert end["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert int(rv(end["object"])) >= int(await moment(cluster, cluster.pods))
        patch = [{"op": "add", "path": "/metadata/annotations", "value": {"x": "1"}}]
        await cluster.patch(f"{cluster.pods}/a/status", patch, JSON_PATCH)
        assert await watch.told() == ("MODIFIED", "a")


async def test_a_streamed_list_of_nothing_ends_at_once(cluster: Cluster) -> None:
    if not cluster.watchlist:
        return
    async with cluster.watch(cluster.routes, labelSelector="no=one", **STREAMED_LIST) as watch:
        assert (await watch.event())["type"] == "BOOKMARK"


async def test_a_streamed_list_has_to_say_how_old_it_may_be(cluster: Cluster) -> None:
    answer = await cluster.ask("GET", cluster.pods, watch="true", sendInitialEvents="true")
    assert answer.reason == (422, "Invalid")
