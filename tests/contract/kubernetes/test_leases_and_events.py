"""Leases, by which replicas elect one of them, and Events, by which people are told."""

import pytest

from tests.contract.kubernetes.support import Cluster, event, lease, rv


async def test_a_lease_is_renewed_by_a_put_with_its_resource_version(cluster: Cluster) -> None:
    made = await cluster.make(cluster.leases, lease("l"))
    made["spec"]["renewTime"] = "2026-01-01T00:00:00.123456Z"
    answer = await cluster.ask("PUT", f"{cluster.leases}/l", made)
    assert answer.status == 200
    assert answer.body["spec"]["renewTime"] == "2026-01-01T00:00:00.123456Z"
    assert rv(answer.body) != rv(made)


async def test_a_put_with_a_stale_resource_version_is_a_conflict(cluster: Cluster) -> None:
    made = await cluster.make(cluster.leases, lease("l"))
    first = await cluster.ask("PUT", f"{cluster.leases}/l", made | {"spec": {"holderIdentity": "b"}})
    answer = await cluster.ask("PUT", f"{cluster.leases}/l", made | {"spec": {"holderIdentity": "c"}})
    assert answer.reason == (409, "Conflict")
    assert answer.body["details"] == {"name": "l", "group": "coordination.k8s.io", "kind": "leases"}
    assert answer.body["message"] == (
        'Operation cannot be fulfilled on leases.coordination.k8s.io "l": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert (await cluster.get(f"{cluster.leases}/l"))["spec"] == first.body["spec"]


async def test_a_put_without_resource_version_is_invalid(cluster: Cluster) -> None:
    await cluster.make(cluster.leases, lease("l"))
    answer = await cluster.ask("PUT", f"{cluster.leases}/l", lease("l", holderIdentity="b"))
    assert answer.reason == (422, "Invalid")
    assert answer.body["details"]["causes"][0]["field"] == "metadata.resourceVersion"


async def test_only_one_of_two_creates_a_lease(cluster: Cluster) -> None:
    await cluster.make(cluster.leases, lease("l"))
    answer = await cluster.ask("POST", cluster.leases, lease("l"))
    assert answer.reason == (409, "AlreadyExists")


async def test_a_lease_without_duration_is_invalid(cluster: Cluster) -> None:
    answer = await cluster.ask("POST", cluster.leases, lease("l", leaseDurationSeconds=0))
    assert answer.reason == (422, "Invalid")
    (cause,) = answer.body["details"]["causes"]
    assert cause["field"] == "spec.leaseDurationSeconds"
    assert cause["message"] == "Invalid value: 0: must be greater than 0"


async def test_a_lease_is_released_with_an_empty_holder_and_a_duration_of_a_second(cluster: Cluster) -> None:
    made = await cluster.make(cluster.leases, lease("l"))
    made["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
    answer = await cluster.ask("PUT", f"{cluster.leases}/l", made)
    assert answer.status == 200
    assert not answer.body["spec"].get("holderIdentity")


async def test_a_lease_is_annotated_by_a_merge_patch(cluster: Cluster) -> None:
    await cluster.make(cluster.leases, lease("l"))
    answer = await cluster.patch(f"{cluster.leases}/l", {"metadata": {"annotations": {"a": "1"}}})
    assert answer.body["metadata"]["annotations"] == {"a": "1"}


@pytest.mark.parametrize("time", ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123Z", "now"])
async def test_a_time_without_its_six_digits_is_a_bad_request(cluster: Cluster, time: str) -> None:
    answer = await cluster.ask("POST", cluster.leases, lease("l", renewTime=time))
    assert answer.reason == (400, "BadRequest")


async def test_an_event_of_the_new_kind_is_seen_as_one_of_the_old(cluster: Cluster) -> None:
    await cluster.make(cluster.events, event("e", cluster.namespace))
    selector = "involvedObject.uid=1-2-3,involvedObject.name=p"
    found = await cluster.get(f"/api/v1/namespaces/{cluster.namespace}/events", fieldSelector=selector)
    (old,) = found["items"]
    assert (old["message"], old["reason"], old["type"]) == ("all is well", "Ready", "Normal")
    assert old["involvedObject"]["uid"] == "1-2-3"
    assert old["reportingComponent"] == "example.org/controller"


async def test_a_repetition_is_patched_as_a_series(cluster: Cluster) -> None:
    await cluster.make(cluster.events, event("e", cluster.namespace))
    series = {"count": 7, "lastObservedTime": "2026-01-01T00:05:00.000000Z"}
    answer = await cluster.patch(f"{cluster.events}/e", {"series": series})
    assert answer.status == 200
    assert answer.body["series"] == series
    assert answer.body["note"] == "all is well"


async def test_the_note_of_an_event_cannot_change(cluster: Cluster) -> None:
    await cluster.make(cluster.events, event("e", cluster.namespace))
    answer = await cluster.patch(f"{cluster.events}/e", {"note": "all is lost"})
    assert answer.reason == (422, "Invalid")


async def test_a_note_of_1024_bytes_is_welcome_and_a_longer_one_is_invalid(cluster: Cluster) -> None:
    await cluster.make(cluster.events, event("e", cluster.namespace, note="é" * 512))
    answer = await cluster.ask("POST", cluster.events, event("f", cluster.namespace, note="é" * 512 + "!"))
    assert answer.reason == (422, "Invalid")
    assert "can have at most 1024 characters" in answer.body["message"]


@pytest.mark.parametrize("key", ["eventTime", "reportingController", "reportingInstance", "action", "reason"])
async def test_an_event_needs_to_say_who_what_and_when(cluster: Cluster, key: str) -> None:
    body = event("e", cluster.namespace)
    del body[key]
    assert (await cluster.ask("POST", cluster.events, body)).reason == (422, "Invalid")


async def test_an_old_event_has_to_be_in_the_namespace_of_what_it_is_about(cluster: Cluster) -> None:
    body = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "elsewhere"}}
    answer = await cluster.ask("POST", f"/api/v1/namespaces/{cluster.namespace}/events", body)
    assert answer.reason == (422, "Invalid")
    assert answer.body["message"].startswith('Event "e" is invalid: involvedObject.namespace')


async def test_the_type_of_an_event_is_normal_or_warning(cluster: Cluster) -> None:
    answer = await cluster.ask("POST", cluster.events, event("e", cluster.namespace, type="Alarm"))
    assert answer.reason == (422, "Invalid")
