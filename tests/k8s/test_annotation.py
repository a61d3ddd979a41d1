"""The compare-and-set of a record, applied by a JSON patch of RFC 6902."""

from typing import Any

import pytest

from fsm.observation import PodFacts
from k8s import annotation
from sandbox.kubernetes.patches import json_patched
from sandbox.kubernetes.refusals import StatusError

KEYS = ("cloudflare.opencode.ai/state", "cloudflare.opencode.ai/retry-at", "odd~key/with~1")
STATE, RETRY, ODD = KEYS


def facts(annotations: dict[str, str], *, bare: bool = False, uid: str = "uid-1") -> PodFacts:
    return PodFacts(
        namespace="ns",
        name="pod",
        uid=uid,
        session="8b6cc2aa9a45",
        created="2026-11-23T00:00:00Z",
        deleting=False,
        resource_version="7",
        first_seen=0.0,
        bare=bare,
        annotations=annotations,
    )


def pod(annotations: dict[str, str] | None, uid: str = "uid-1") -> dict[str, Any]:
    metadata = {"name": "pod", "uid": uid} | ({} if annotations is None else {"annotations": annotations})
    return {"metadata": metadata}


def annotations_after(live: dict[str, Any], patch: list[dict[str, Any]]) -> Any:
    return json_patched(live, patch)["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("before", "texts"),
    [
        ({}, {STATE: "Pending"}),
        ({STATE: "Pending"}, {STATE: "Ready"}),
        ({STATE: "Pending", RETRY: "later"}, {STATE: "Ready"}),
        ({STATE: "Pending", RETRY: "later"}, {}),
        ({STATE: "Pending"}, {STATE: "Pending", ODD: "a/b~c"}),
        ({STATE: "", ODD: "x"}, {STATE: "x", ODD: ""}),
    ],
)
def test_the_keys_become_exactly_the_texts_and_others_stay(before: dict[str, str], texts: dict[str, str]) -> None:
    foreign = {"opencode.ai/pod-secret": "s"}
    patch = annotation.build(facts(before), texts, KEYS)
    assert annotations_after(pod(before | foreign), patch) == texts | foreign
    assert "opencode.ai/pod-secret" not in str(patch)


def test_a_pod_without_any_annotation_gets_the_whole_map() -> None:
    patch = annotation.build(facts({}, bare=True), {STATE: "Pending"}, KEYS)
    assert annotations_after(pod(None), patch) == {STATE: "Pending"}


def test_nothing_is_sent_when_nothing_changes() -> None:
    assert annotation.build(facts({STATE: "Ready"}), {STATE: "Ready"}, KEYS) == []
    assert annotation.build(facts({}, bare=True), {}, KEYS) == []


@pytest.mark.parametrize(
    "there",
    [
        pod({STATE: "Ready"}, uid="another"),
        pod({STATE: "DnsCreated"}),
        pod({STATE: "Ready", RETRY: "somebody added"}),
        pod({ODD: "wiped the state"}),
        pod(None),
    ],
)
def test_anything_that_is_not_as_last_seen_refuses_the_patch(there: dict[str, Any]) -> None:
    patch = annotation.build(facts({STATE: "Ready"}), {STATE: "TearingDown"}, KEYS)
    with pytest.raises(StatusError):
        json_patched(there, patch)


def test_a_map_that_appeared_meanwhile_is_not_replaced() -> None:
    patch = annotation.build(facts({}, bare=True), {STATE: "Pending"}, KEYS)
    with pytest.raises(StatusError):
        json_patched(pod({"opencode.ai/pod-secret": "s"}), patch)
