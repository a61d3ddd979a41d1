"""Lists: selectors, pages, metadata alone."""

import pytest

from k8s import selection
from tests.contract.kubernetes.support import PARTIAL, PARTIAL_LIST, Cluster, pod, route, rv


async def names(cluster: Cluster, **query: str) -> list[str]:
    return [item["metadata"]["name"] for item in (await cluster.get(cluster.pods, **query))["items"]]


async def test_a_list_is_ordered_by_name_and_knows_its_moment(cluster: Cluster) -> None:
    for name in ("b", "a", "c"):
        await cluster.make(cluster.pods, pod(name))
    found = await cluster.get(cluster.pods)
    assert (found["kind"], found["apiVersion"]) == ("PodList", "v1")
    assert [item["metadata"]["name"] for item in found["items"]] == ["a", "b", "c"]
    assert int(rv(found)) >= max(int(rv(item)) for item in found["items"])


async def test_members_of_a_list_say_their_kind_only_when_they_are_custom_resources(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p"))
    await cluster.make(cluster.routes, route("r"))
    assert "kind" not in (await cluster.get(cluster.pods))["items"][0]
    assert (await cluster.get(cluster.routes))["items"][0]["kind"] == "IngressRoute"


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("x=1", ["a"]),
        ("x==1", ["a"]),
        ("x!=1", ["b", "c"]),
        ("x in (1,2)", ["a", "b"]),
        ("x in (1, 2),y", ["b"]),
        ("x notin (1)", ["b", "c"]),
        ("x", ["a", "b"]),
        ("!x", ["c"]),
        ("example.org/hash in (0123456789ab,ffffffffffff)", ["c"]),
        ("x=1,x=2", []),
        (" x = 1 , ! y ", ["a"]),
        ("x in( 1 ,3)", ["a"]),
        ("y=", ["b"]),
        ("y in ()", ["b"]),
        ("y!=", ["a", "c"]),
    ],
)
async def test_a_label_selector_selects(cluster: Cluster, selector: str, expected: list[str]) -> None:
    """Also what the operator works out itself, of a reply that shows an object whether it is selected or not."""
    pods = {"a": {"x": "1"}, "b": {"x": "2", "y": ""}, "c": {"example.org/hash": "0123456789ab"}}
    for name, labels in pods.items():
        await cluster.make(cluster.pods, pod(name, labels=labels))
    assert await names(cluster, labelSelector=selector) == expected
    assert [name for name, labels in pods.items() if selection.test_of(selector)(labels)] == expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=a", ["a"]),
        ("metadata.name!=a", ["b"]),
        ("spec.nodeName=n", ["b"]),
        ("spec.nodeName=", ["a"]),
        ("status.phase=Running", ["b"]),
        ("status.phase=Pending,spec.nodeName=n", []),
    ],
)
async def test_a_field_selector_selects(cluster: Cluster, selector: str, expected: list[str]) -> None:
    await cluster.make(cluster.pods, pod("a"))
    await cluster.make(cluster.pods, pod("b", node="n"))
    await cluster.patch(f"{cluster.pods}/b/status", {"status": {"phase": "Running"}})
    assert await names(cluster, fieldSelector=selector) == expected


@pytest.mark.parametrize("query", [{"labelSelector": "x in 1"}, {"fieldSelector": "spec.invented=1"}], ids=str)
async def test_a_selector_that_cannot_be_is_a_bad_request(cluster: Cluster, query: dict[str, str]) -> None:
    assert (await cluster.ask("GET", cluster.pods, **query)).reason == (400, "BadRequest")


async def test_pages_show_the_moment_of_the_first(cluster: Cluster) -> None:
    for name in ("a", "b", "c", "d"):
        await cluster.make(cluster.pods, pod(name))
    first = await cluster.get(cluster.pods, limit="2")
    assert [item["metadata"]["name"] for item in first["items"]] == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 2
    await cluster.ask("DELETE", f"{cluster.pods}/c")
    await cluster.make(cluster.pods, pod("cc"))
    second = await cluster.get(cluster.pods, limit="2", **{"continue": first["metadata"]["continue"]})
    assert [item["metadata"]["name"] for item in second["items"]] == ["c", "d"]
    assert rv(second) == rv(first)
    assert not second["metadata"].get("continue")


async def test_pages_go_through_a_selection(cluster: Cluster) -> None:
    for number in range(6):
        await cluster.make(cluster.pods, pod(f"p{number}", labels={"odd": str(number % 2)}))
    first = await cluster.get(cluster.pods, limit="2", labelSelector="odd=1")
    rest = await cluster.get(
        cluster.pods, limit="2", labelSelector="odd=1", **{"continue": first["metadata"]["continue"]}
    )
    found = [item["metadata"]["name"] for page in (first, rest) for item in page["items"]]
    assert found == ["p1", "p3", "p5"]


async def test_a_list_at_zero_from_the_cache_is_a_list_too(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("a"))
    found = await cluster.get(cluster.pods, resourceVersion="0", limit="500")
    assert int(rv(found)) > 0


async def test_a_list_of_a_time_to_come_is_refused(cluster: Cluster) -> None:
    answer = await cluster.ask("GET", cluster.pods, resourceVersion="1000000000", resourceVersionMatch="NotOlderThan")
    assert answer.reason == (504, "Timeout")
    assert answer.body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


async def test_a_list_of_metadata_alone(cluster: Cluster) -> None:
    made = await cluster.make(cluster.pods, pod("p", labels={"a": "1"}, annotations={"b": "2"}))
    found = (await cluster.ask("GET", cluster.pods, accept=PARTIAL_LIST)).body
    assert (found["kind"], found["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    (item,) = found["items"]
    assert item == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": made["metadata"],
    }


async def test_pages_of_metadata_alone(cluster: Cluster) -> None:
    for name in ("a", "b"):
        await cluster.make(cluster.pods, pod(name))
    first = (await cluster.ask("GET", cluster.pods, accept=PARTIAL_LIST, limit="1")).body
    more = {"continue": first["metadata"]["continue"]}
    second = (await cluster.ask("GET", cluster.pods, accept=PARTIAL_LIST, limit="1", **more)).body
    assert [page["items"][0]["metadata"]["name"] for page in (first, second)] == ["a", "b"]


async def test_a_single_object_and_the_answer_to_a_patch_come_as_metadata_alone(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p"))
    found = (await cluster.ask("GET", f"{cluster.pods}/p", accept=PARTIAL)).body
    assert found["kind"] == "PartialObjectMetadata"
    assert found.keys() == {"kind", "apiVersion", "metadata"}
    patch = {"metadata": {"annotations": {"a": "1"}}}
    answer = await cluster.ask(
        "PATCH", f"{cluster.pods}/p/status", patch, content_type="application/merge-patch+json", accept=PARTIAL
    )
    assert answer.body.keys() == {"kind", "apiVersion", "metadata"}
    assert answer.body["metadata"]["annotations"] == {"a": "1"}


async def test_the_wrong_shape_is_not_acceptable(cluster: Cluster) -> None:
    answer = await cluster.ask("GET", cluster.pods, accept=PARTIAL)
    assert answer.reason == (406, "NotAcceptable")


async def test_a_list_over_all_namespaces(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p", labels={"in": cluster.namespace}))
    found = await cluster.get("/api/v1/pods", labelSelector=f"in={cluster.namespace}")
    assert [item["metadata"]["namespace"] for item in found["items"]] == [cluster.namespace]
