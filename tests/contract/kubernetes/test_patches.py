"""Patches: the compare-and-set of a Pod's annotations, and what is refused."""

from typing import Any

import pytest

from tests.contract.kubernetes.support import JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, Cluster, pod, rv

REJECTED = "the server rejected our request due to an error in our request"


def op(name: str, path: str, **value: Any) -> dict[str, Any]:
    return {"op": name, "path": path, **value}


async def test_a_json_patch_on_status_whose_tests_hold_changes_annotations_and_labels_and_ignores_the_spec(
    cluster: Cluster,
) -> None:
    made = await cluster.make(cluster.pods, pod("p", annotations={"a": "1"}, labels={"x": "1"}))
    answer = await cluster.patch(
        f"{cluster.pods}/p/status",
        [
            op("test", "/metadata/uid", value=made["metadata"]["uid"]),
            op("test", "/metadata/annotations/a", value="1"),
            op("replace", "/metadata/annotations/a", value="2"),
            op("add", "/metadata/annotations/cloudflare.opencode.ai~1state", value="Ready"),
            op("add", "/metadata/labels/y", value="2"),
            op("replace", "/spec/containers/0/image", value="example.invalid/other"),
        ],
        JSON_PATCH,
    )
    assert answer.status == 200
    found = await cluster.get(f"{cluster.pods}/p")
    assert found["metadata"]["annotations"] == {"a": "2", "cloudflare.opencode.ai/state": "Ready"}
    assert found["metadata"]["labels"] == {"x": "1", "y": "2"}
    assert found["spec"]["containers"][0]["image"] == "example.invalid/main"
    assert rv(found) != rv(made)


async def test_a_condition_is_written_through_status_together_with_annotations(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p", annotations={"a": "1"}))
    condition = {"type": "example.org/Ready", "status": "True"}
    answer = await cluster.patch(
        f"{cluster.pods}/p/status",
        [op("add", "/status/conditions", value=[condition]), op("replace", "/metadata/annotations/a", value="2")],
        JSON_PATCH,
    )
    assert answer.body["status"]["conditions"][0]["type"] == "example.org/Ready"
    assert answer.body["metadata"]["annotations"] == {"a": "2"}


@pytest.mark.parametrize(
    "operation",
    [
        op("test", "/metadata/annotations/a", value="other"),
        op("test", "/metadata/annotations/absent", value="1"),
        op("test", "/metadata/nowhere/a", value=None),
        op("remove", "/metadata/annotations/absent"),
        op("move", "/metadata/annotations/b", **{"from": "/metadata/annotations/absent"}),
        op("add", "/metadata/finalizers/-", value="example.org/f"),
        op("add", "/metadata/nowhere/a", value="1"),
        op("add", "/spec/containers/7", value={"name": "late", "image": "x"}),
    ],
    ids=str,
)
async def test_a_json_patch_that_fails_is_422_without_details_and_changes_nothing(
    cluster: Cluster, operation: dict[str, Any]
) -> None:
    made = await cluster.make(cluster.pods, pod("p", annotations={"a": "1"}))
    answer = await cluster.patch(
        f"{cluster.pods}/p/status", [op("add", "/metadata/annotations/b", value="2"), operation], JSON_PATCH
    )
    assert answer.reason == (422, "Invalid")
    assert answer.body["message"] == REJECTED
    assert answer.body["details"] == {}
    assert await cluster.get(f"{cluster.pods}/p") == made


async def test_a_test_for_null_holds_for_a_key_that_is_absent(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p", annotations={"a": "1"}))
    operations = [
        op("test", "/metadata/annotations/b", value=None),
        op("add", "/metadata/annotations/b", value="2"),
    ]
    assert (await cluster.patch(f"{cluster.pods}/p/status", operations, JSON_PATCH)).status == 200
    assert (await cluster.patch(f"{cluster.pods}/p/status", operations, JSON_PATCH)).status == 422


async def test_replacing_an_absent_key_adds_it(cluster: Cluster) -> None:
    """Not what RFC 6902 says."""
    await cluster.make(cluster.pods, pod("p", annotations={"a": "1"}))
    operations = [op("replace", "/metadata/annotations/b", value="2")]
    answer = await cluster.patch(f"{cluster.pods}/p/status", operations, JSON_PATCH)
    assert answer.body["metadata"]["annotations"] == {"a": "1", "b": "2"}


async def test_a_pod_without_annotations_gets_the_whole_map_after_a_test_for_null(cluster: Cluster) -> None:
    made = await cluster.make(cluster.pods, pod("p"))
    assert "annotations" not in made["metadata"]
    answer = await cluster.patch(
        f"{cluster.pods}/p/status",
        [op("test", "/metadata/annotations", value=None), op("add", "/metadata/annotations", value={"a": "1"})],
        JSON_PATCH,
    )
    assert answer.body["metadata"]["annotations"] == {"a": "1"}


async def test_a_pod_whose_last_annotation_is_taken_away_has_no_map_any_more(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p", annotations={"a": "1"}))
    answer = await cluster.patch(f"{cluster.pods}/p", {"metadata": {"annotations": {"a": None}}})
    assert "annotations" not in answer.body["metadata"]
    answer = await cluster.patch(
        f"{cluster.pods}/p/status",
        [op("test", "/metadata/annotations", value=None), op("add", "/metadata/annotations", value={"a": "2"})],
        JSON_PATCH,
    )
    assert answer.body["metadata"]["annotations"] == {"a": "2"}


async def test_a_patch_that_changes_nothing_leaves_the_resource_version(cluster: Cluster) -> None:
    made = await cluster.make(cluster.pods, pod("p", annotations={"a": "1"}))
    answer = await cluster.patch(
        f"{cluster.pods}/p/status", [op("replace", "/metadata/annotations/a", value="1")], JSON_PATCH
    )
    assert answer.status == 200
    assert rv(answer.body) == rv(made)


@pytest.mark.parametrize("content_type", [MERGE_PATCH, STRATEGIC_MERGE_PATCH])
async def test_a_merge_patch_changes_what_it_names_and_removes_what_it_nulls(
    cluster: Cluster, content_type: str
) -> None:
    await cluster.make(cluster.pods, pod("p", annotations={"a": "1", "b": "2"}))
    patch = {"metadata": {"annotations": {"a": None, "c": "3"}}}
    answer = await cluster.patch(f"{cluster.pods}/p", patch, content_type)
    assert answer.body["metadata"]["annotations"] == {"b": "2", "c": "3"}


async def test_a_patch_of_the_pod_itself_ignores_status(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p"))
    patch = {"status": {"phase": "Failed"}, "metadata": {"annotations": {"a": "1"}}}
    answer = await cluster.patch(f"{cluster.pods}/p", patch)
    assert answer.body["status"]["phase"] == "Pending"
    assert answer.body["metadata"]["annotations"] == {"a": "1"}


async def test_a_patch_with_a_stale_resource_version_is_a_conflict(cluster: Cluster) -> None:
    made = await cluster.make(cluster.pods, pod("p"))
    await cluster.patch(f"{cluster.pods}/p", {"metadata": {"annotations": {"a": "1"}}})
    patch = {"metadata": {"resourceVersion": rv(made), "annotations": {"a": "2"}}}
    answer = await cluster.patch(f"{cluster.pods}/p", patch)
    assert answer.reason == (409, "Conflict")
    assert "the object has been modified" in answer.body["message"]


async def test_a_merge_patch_with_another_uid_is_invalid(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p"))
    answer = await cluster.patch(f"{cluster.pods}/p", {"metadata": {"uid": "0", "annotations": {"a": "1"}}})
    assert answer.reason == (422, "Invalid")
    assert "field is immutable" in answer.body["message"]


async def test_a_patch_of_a_pod_that_is_gone_is_not_found(cluster: Cluster) -> None:
    answer = await cluster.patch(f"{cluster.pods}/p/status", [op("add", "/metadata/labels", value={})], JSON_PATCH)
    assert answer.reason == (404, "NotFound")
    assert answer.body["details"] == {"name": "p", "kind": "pods"}
    assert answer.body["message"] == 'pods "p" not found'


async def test_a_content_type_that_is_no_patch_is_refused(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p"))
    answer = await cluster.patch(f"{cluster.pods}/p", {}, "application/json")
    assert answer.reason == (415, "UnsupportedMediaType")


async def test_the_spec_of_a_pod_cannot_be_patched(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p"))
    answer = await cluster.patch(f"{cluster.pods}/p", {"spec": {"hostname": "other"}})
    assert answer.reason == (422, "Invalid")
    assert answer.body["details"]["causes"][0]["field"] == "spec"


async def test_a_custom_resource_takes_merge_patches_but_no_strategic_ones(cluster: Cluster) -> None:
    answer = await cluster.patch(f"{cluster.routes}/r", {}, STRATEGIC_MERGE_PATCH)
    assert answer.reason == (415, "UnsupportedMediaType")
