"""Server-side apply of routes: creation, ownership, conflicts, preconditions."""

from typing import Any

from tests.contract.kubernetes.support import APPLY, Cluster, route, rv

US, THEM = "us", "them"


def owners(item: dict[str, Any]) -> set[tuple[str, str]]:
    return {(entry["manager"], entry["operation"]) for entry in item["metadata"]["managedFields"]}


def fields(item: dict[str, Any], manager: str) -> Any:
    (entry,) = [entry for entry in item["metadata"]["managedFields"] if entry["manager"] == manager]
    return entry["fieldsV1"]


async def test_applying_what_is_missing_creates_it(cluster: Cluster) -> None:
    answer = await cluster.apply(f"{cluster.routes}/r", route("r"), US)
    assert answer.status == 201
    assert answer.body["metadata"]["generation"] == 1
    assert answer.body["metadata"]["uid"]
    assert owners(answer.body) == {(US, "Apply")}
    assert (await cluster.get(f"{cluster.routes}/r"))["spec"] == route("r")["spec"]


async def test_applying_the_same_again_changes_nothing(cluster: Cluster) -> None:
    first = await cluster.apply(f"{cluster.routes}/r", route("r"), US)
    again = await cluster.apply(f"{cluster.routes}/r", route("r"), US)
    assert (again.status, rv(again.body)) == (200, rv(first.body))


async def test_applying_another_rule_bumps_the_generation_and_a_label_does_not(cluster: Cluster) -> None:
    await cluster.apply(f"{cluster.routes}/r", route("r"), US)
    changed = await cluster.apply(f"{cluster.routes}/r", route("r", "b.example.org"), US)
    assert changed.body["metadata"]["generation"] == 2
    labelled = route("r", "b.example.org")
    labelled["metadata"]["labels"] = {"a": "1"}
    answer = await cluster.apply(f"{cluster.routes}/r", labelled, US)
    assert answer.body["metadata"]["generation"] == 2
    assert answer.body["metadata"]["labels"] == {"a": "1"}


async def test_another_owners_field_with_another_value_is_a_conflict(cluster: Cluster) -> None:
    await cluster.apply(f"{cluster.routes}/r", route("r"), THEM)
    answer = await cluster.apply(f"{cluster.routes}/r", route("r", "b.example.org"), US)
    assert answer.reason == (409, "Conflict")
    assert answer.body["message"] == 'Apply failed with 1 conflict: conflict with "them": .spec.routes'
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "them"', "field": ".spec.routes"}
    assert answer.body["details"] == {"causes": [cause]}
    assert (await cluster.get(f"{cluster.routes}/r"))["spec"] == route("r")["spec"]


async def test_several_conflicts_are_all_told(cluster: Cluster) -> None:
    await cluster.apply(f"{cluster.routes}/r", route("r"), THEM)
    answer = await cluster.apply(f"{cluster.routes}/r", route("r", "b.example.org", entryPoints=["other"]), US)
    assert answer.body["message"] == (
        'Apply failed with 2 conflicts: conflicts with "them":\n- .spec.entryPoints\n- .spec.routes'
    )


async def test_the_same_value_as_another_owners_is_shared(cluster: Cluster) -> None:
    await cluster.apply(f"{cluster.routes}/r", route("r"), THEM)
    answer = await cluster.apply(f"{cluster.routes}/r", route("r"), US)
    assert answer.status == 200
    assert owners(answer.body) == {(US, "Apply"), (THEM, "Apply")}


async def test_force_takes_the_field_over(cluster: Cluster) -> None:
    await cluster.apply(f"{cluster.routes}/r", route("r"), THEM)
    answer = await cluster.apply(f"{cluster.routes}/r", route("r", "b.example.org"), US, force=True)
    assert answer.status == 200
    assert answer.body["spec"] == route("r", "b.example.org")["spec"]
    assert fields(answer.body, THEM) == {"f:spec": {"f:entryPoints": {}}}
    back = await cluster.apply(f"{cluster.routes}/r", route("r"), THEM)
    assert back.reason == (409, "Conflict")


async def test_force_over_a_plain_post_replaces_the_rules_and_leaves_what_only_they_set(cluster: Cluster) -> None:
    theirs = route("r", "old.example.org", tls={"secretName": "theirs"})
    theirs["metadata"]["labels"] = {"theirs": "1"}
    await cluster.make(cluster.routes, theirs)
    answer = await cluster.apply(f"{cluster.routes}/r", route("r"), US)
    assert answer.reason == (409, "Conflict")
    answer = await cluster.apply(f"{cluster.routes}/r", route("r"), US, force=True)
    assert answer.body["spec"] == route("r")["spec"] | {"tls": {"secretName": "theirs"}}
    assert answer.body["metadata"]["labels"] == {"theirs": "1"}


async def test_a_field_that_we_no_longer_apply_is_removed_unless_somebody_else_owns_it(cluster: Cluster) -> None:
    ours = route("r", tls={"secretName": "ours"})
    ours["metadata"]["labels"] = {"shared": "1", "ours": "1"}
    await cluster.apply(f"{cluster.routes}/r", ours, US)
    theirs = {key: value for key, value in route("r").items() if key != "spec"} | {"metadata": {"name": "r"}}
    theirs["metadata"]["labels"] = {"shared": "1"}
    await cluster.apply(f"{cluster.routes}/r", theirs, THEM)
    answer = await cluster.apply(f"{cluster.routes}/r", route("r"), US)
    assert answer.body["metadata"]["labels"] == {"shared": "1"}
    assert "secretName" not in answer.body["spec"].get("tls", {})


async def test_a_plain_patch_takes_over_what_it_changes(cluster: Cluster) -> None:
    await cluster.apply(f"{cluster.routes}/r", route("r"), US)
    taken = await cluster.patch(f"{cluster.routes}/r", {"spec": {"entryPoints": ["other"]}}, fieldManager=THEM)
    assert fields(taken.body, US) == {"f:spec": {"f:routes": {}}}
    assert fields(taken.body, THEM) == {"f:spec": {"f:entryPoints": {}}}
    answer = await cluster.apply(f"{cluster.routes}/r", route("r"), US)
    assert answer.reason == (409, "Conflict")
    (cause,) = answer.body["details"]["causes"]
    assert cause["field"] == ".spec.entryPoints"
    assert cause["message"].startswith('conflict with "them" using traefik.io/v1alpha1')


async def test_a_stale_resource_version_in_the_applied_object_is_a_conflict(cluster: Cluster) -> None:
    first = await cluster.apply(f"{cluster.routes}/r", route("r"), US)
    await cluster.apply(f"{cluster.routes}/r", route("r", "b.example.org"), US)
    stale = route("r", "c.example.org")
    stale["metadata"]["resourceVersion"] = rv(first.body)
    answer = await cluster.apply(f"{cluster.routes}/r", stale, US, force=True)
    assert answer.reason == (409, "Conflict")
    assert "the object has been modified" in answer.body["message"]


async def test_the_present_resource_version_in_the_applied_object_is_welcome(cluster: Cluster) -> None:
    first = await cluster.apply(f"{cluster.routes}/r", route("r"), US)
    fresh = route("r", "b.example.org")
    fresh["metadata"]["resourceVersion"] = rv(first.body)
    assert (await cluster.apply(f"{cluster.routes}/r", fresh, US)).status == 200


async def test_a_uid_in_the_applied_object_asks_for_just_that_object(cluster: Cluster) -> None:
    gone = route("r")
    gone["metadata"]["uid"] = "0"
    answer = await cluster.apply(f"{cluster.routes}/r", gone, US)
    assert answer.reason == (409, "Conflict")
    assert "no existing object was found" in answer.body["message"]


async def test_a_resource_version_in_the_applied_object_does_not_ask_for_its_existence(cluster: Cluster) -> None:
    gone = route("r")
    gone["metadata"]["resourceVersion"] = "5"
    assert (await cluster.apply(f"{cluster.routes}/r", gone, US)).status == 201


async def test_an_apply_has_to_say_who_applies(cluster: Cluster) -> None:
    answer = await cluster.patch(f"{cluster.routes}/r", route("r"), APPLY)
    assert answer.reason == (422, "Invalid")
    assert answer.body["details"]["causes"][0]["field"] == "fieldManager"


async def test_applying_an_undeclared_field_is_refused(cluster: Cluster) -> None:
    answer = await cluster.apply(f"{cluster.routes}/r", route("r", invented=1), US)
    assert answer.status == 500
    assert ".spec.invented: field not declared in schema" in answer.body["message"]


async def test_a_dry_run_of_an_apply_answers_and_keeps_nothing(cluster: Cluster) -> None:
    answer = await cluster.patch(f"{cluster.routes}/r", route("r"), APPLY, fieldManager=US, dryRun="All")
    assert answer.status == 201
    assert (await cluster.ask("GET", f"{cluster.routes}/r")).status == 404
