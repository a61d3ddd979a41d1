"""Creating, replacing and deleting single objects."""

import pytest

from tests.contract.kubernetes.support import Cluster, lease, pod, route, rv


async def test_a_new_object_gets_what_the_server_gives(cluster: Cluster) -> None:
    made = await cluster.make(cluster.pods, pod("p", labels={"a": "1"}))
    metadata = made["metadata"]
    assert (metadata["name"], metadata["namespace"], metadata["labels"]) == ("p", cluster.namespace, {"a": "1"})
    assert metadata["uid"]
    assert metadata["creationTimestamp"].endswith("Z")
    assert made["status"]["phase"] == "Pending"
    assert made["spec"]["terminationGracePeriodSeconds"] == 30


async def test_a_name_can_be_generated(cluster: Cluster) -> None:
    made = await cluster.make(cluster.pods, pod("") | {"metadata": {"generateName": "p-"}})
    assert made["metadata"]["name"].startswith("p-")
    assert len(made["metadata"]["name"]) == 7


async def test_resource_versions_grow(cluster: Cluster) -> None:
    versions = [int(rv(await cluster.make(cluster.pods, pod(f"p{number}")))) for number in range(3)]
    assert versions == sorted(set(versions))


async def test_creating_what_exists_is_refused(cluster: Cluster) -> None:
    await cluster.make(cluster.routes, route("r"))
    answer = await cluster.ask("POST", cluster.routes, route("r", "b.example.org"))
    assert answer.reason == (409, "AlreadyExists")
    assert answer.body["message"] == 'ingressroutes.traefik.io "r" already exists'
    assert answer.body["details"] == {"name": "r", "group": "traefik.io", "kind": "ingressroutes"}


async def test_a_namespace_has_to_exist(cluster: Cluster) -> None:
    answer = await cluster.ask("POST", "/api/v1/namespaces/nowhere/pods", pod("p"))
    assert answer.reason == (404, "NotFound")
    assert answer.body["details"] == {"name": "nowhere", "kind": "namespaces"}


async def test_an_object_of_another_namespace_is_a_bad_request(cluster: Cluster) -> None:
    answer = await cluster.ask("POST", cluster.pods, pod("p", namespace="default"))
    assert answer.reason == (400, "BadRequest")


async def test_a_namespace_that_is_being_deleted_takes_nothing_new(cluster: Cluster) -> None:
    await cluster.ask("DELETE", f"/api/v1/namespaces/{cluster.namespace}")
    answer = await cluster.ask("POST", cluster.leases, lease("l"))
    assert answer.reason == (403, "Forbidden")
    assert answer.body["details"]["causes"][0]["reason"] == "NamespaceTerminating"


async def test_a_dry_run_of_a_creation_keeps_nothing(cluster: Cluster) -> None:
    assert (await cluster.ask("POST", cluster.pods, pod("p"), dryRun="All")).status == 201
    assert (await cluster.ask("GET", f"{cluster.pods}/p")).status == 404


@pytest.mark.parametrize("name", ["", "Upper", "under_score", "-dash"])
async def test_a_bad_name_is_invalid(cluster: Cluster, name: str) -> None:
    answer = await cluster.ask("POST", cluster.pods, pod(name))
    assert answer.reason == (422, "Invalid")
    assert answer.body["details"]["causes"][0]["field"] == "metadata.name"


async def test_a_label_value_that_is_none_is_invalid(cluster: Cluster) -> None:
    answer = await cluster.ask("POST", cluster.pods, pod("p", labels={"a": "not a value"}))
    assert answer.reason == (422, "Invalid")


async def test_a_pod_that_no_node_runs_is_deleted_at_once(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p"))
    assert (await cluster.ask("DELETE", f"{cluster.pods}/p")).status == 200
    assert (await cluster.ask("GET", f"{cluster.pods}/p")).status == 404


async def test_a_pod_on_a_node_ends_with_grace_until_its_kubelet_lets_it_go(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p", node="n"))
    assert (await cluster.ask("DELETE", f"{cluster.pods}/p")).status == 200
    going = await cluster.get(f"{cluster.pods}/p")
    assert going["metadata"]["deletionTimestamp"]
    assert going["metadata"]["deletionGracePeriodSeconds"] == 30
    again = await cluster.ask("DELETE", f"{cluster.pods}/p")
    assert (again.status, rv(again.body)) == (200, rv(going))
    await cluster.ask("DELETE", f"{cluster.pods}/p", {"gracePeriodSeconds": 0})
    assert (await cluster.ask("GET", f"{cluster.pods}/p")).status == 404


async def test_the_name_of_a_pod_that_still_ends_is_taken(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p", node="n"))
    await cluster.ask("DELETE", f"{cluster.pods}/p")
    assert (await cluster.ask("POST", cluster.pods, pod("p"))).reason == (409, "AlreadyExists")


async def test_a_pod_that_ends_can_still_be_annotated(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p", node="n"))
    await cluster.ask("DELETE", f"{cluster.pods}/p")
    answer = await cluster.patch(f"{cluster.pods}/p/status", {"metadata": {"annotations": {"a": "1"}}})
    assert answer.body["metadata"]["annotations"] == {"a": "1"}


async def test_finalizers_hold_an_object_until_they_are_gone(cluster: Cluster) -> None:
    body = route("r")
    body["metadata"]["finalizers"] = ["example.org/f"]
    await cluster.make(cluster.routes, body)
    answer = await cluster.ask("DELETE", f"{cluster.routes}/r")
    assert answer.body["metadata"]["deletionTimestamp"]
    assert (await cluster.ask("GET", f"{cluster.routes}/r")).status == 200
    await cluster.patch(f"{cluster.routes}/r", {"metadata": {"finalizers": None}})
    assert (await cluster.ask("GET", f"{cluster.routes}/r")).status == 404


async def test_a_pod_that_ends_takes_no_new_finalizer(cluster: Cluster) -> None:
    await cluster.make(cluster.pods, pod("p", node="n"))
    await cluster.ask("DELETE", f"{cluster.pods}/p")
    answer = await cluster.patch(f"{cluster.pods}/p", {"metadata": {"finalizers": ["example.org/f"]}})
    assert answer.reason == (422, "Invalid")
    told = {(cause["reason"], cause["field"]) for cause in answer.body["details"]["causes"]}
    assert told == {("FieldValueForbidden", "metadata.finalizers")}


@pytest.mark.parametrize("key", ["uid", "resourceVersion"])
async def test_a_delete_whose_precondition_fails_is_a_conflict(cluster: Cluster, key: str) -> None:
    await cluster.make(cluster.routes, route("r"))
    answer = await cluster.ask("DELETE", f"{cluster.routes}/r", {"preconditions": {key: "0"}})
    assert answer.reason == (409, "Conflict")
    assert 'Operation cannot be fulfilled on IngressRoute.traefik.io "r"' in answer.body["message"]
    assert "precondition (0) does not match" in answer.body["message"]
    assert answer.body["details"] == {"name": "r", "group": "traefik.io", "kind": "IngressRoute"}
    assert (await cluster.ask("GET", f"{cluster.routes}/r")).status == 200


async def test_a_delete_whose_preconditions_hold_removes_the_object_and_tells_its_uid(cluster: Cluster) -> None:
    made = (await cluster.make(cluster.routes, route("r")))["metadata"]
    preconditions = {"uid": made["uid"], "resourceVersion": made["resourceVersion"]}
    answer = await cluster.ask("DELETE", f"{cluster.routes}/r", {"preconditions": preconditions})
    assert (answer.status, answer.body["status"]) == (200, "Success")
    told = {"name": "r", "group": "traefik.io", "kind": "ingressroutes", "uid": made["uid"]}
    assert answer.body["details"] == told


async def test_deleting_what_is_gone_is_not_found(cluster: Cluster) -> None:
    assert (await cluster.ask("DELETE", f"{cluster.routes}/r")).reason == (404, "NotFound")


async def test_a_put_without_a_resource_version_is_invalid_for_routes(cluster: Cluster) -> None:
    await cluster.make(cluster.routes, route("r"))
    answer = await cluster.ask("PUT", f"{cluster.routes}/r", route("r", "b.example.org"))
    assert answer.reason == (422, "Invalid")
    assert answer.body["details"]["causes"][0]["field"] == "metadata.resourceVersion"


async def test_a_collection_is_deleted_by_its_selector(cluster: Cluster) -> None:
    for name, value in (("a", "1"), ("b", "2")):
        body = route(name)
        body["metadata"]["labels"] = {"x": value}
        await cluster.make(cluster.routes, body)
    assert (await cluster.ask("DELETE", cluster.routes, labelSelector="x=1")).status == 200
    assert [item["metadata"]["name"] for item in (await cluster.get(cluster.routes))["items"]] == ["b"]


async def test_a_route_with_an_undeclared_field_is_refused_when_asked_to_be_strict(cluster: Cluster) -> None:
    answer = await cluster.ask("POST", cluster.routes, route("r", invented=1), fieldValidation="Strict")
    assert answer.reason == (400, "BadRequest")
    assert 'strict decoding error: unknown field "spec.invented"' in answer.body["message"]


async def test_a_route_with_an_undeclared_field_is_warned_of_and_loses_it(cluster: Cluster) -> None:
    answer = await cluster.ask("POST", cluster.routes, route("r", invented=1))
    assert answer.status == 201
    assert "invented" not in answer.body["spec"]
    assert answer.warnings == ['299 - "unknown field \\"spec.invented\\""']


async def test_a_route_without_what_is_required_is_invalid(cluster: Cluster) -> None:
    answer = await cluster.ask("POST", cluster.routes, route("r", routes=[{"kind": "Rule"}]))
    assert answer.reason == (422, "Invalid")
    (cause,) = answer.body["details"]["causes"]
    assert (cause["reason"], cause["field"]) == ("FieldValueRequired", "spec.routes[0].match")


async def test_a_route_with_a_value_of_the_wrong_type_is_invalid(cluster: Cluster) -> None:
    rule = {"match": "Host(`a`)", "kind": "Rule", "priority": "high"}
    answer = await cluster.ask("POST", cluster.routes, route("r", routes=[rule]))
    assert answer.reason == (422, "Invalid")
    causes = {(cause["reason"], cause["field"]) for cause in answer.body["details"]["causes"]}
    assert ("FieldValueTypeInvalid", "spec.routes[0].priority") in causes


async def test_a_kind_that_does_not_exist_is_not_found(cluster: Cluster) -> None:
    """A page of text, not a Status: what a client gets that asks for a kind whose definition is missing."""
    answer = await cluster.ask("GET", f"/apis/traefik.io/v1alpha1/namespaces/{cluster.namespace}/inventions")
    assert (answer.status, answer.body) == (404, "404 page not found\n")
