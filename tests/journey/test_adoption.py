"""What is there already: objects of the original operator, of another owner id, suffix or service, of a neighbour."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from controller.background import background
from fsm.desired import desired
from fsm.session import MANAGED_BY_LABEL, MANAGER, OWNER_LABEL, PREFIX
from sandbox.kubeclient import KubeClient
from sandbox.stage import DOMAIN, SUFFIX, Stage
from tests.journey import play
from tests.journey.exact import assert_exact

pytestmark = pytest.mark.usefixtures("untouched")

# To the letter, with its dash.
ORIGINAL_COMMENT = "opencode session — managed by opencode-cloudflare-operator"
SESSIONS = play.hashes(3)


async def test_the_original_operators_objects_are_adopted_without_an_interruption(stage: Stage) -> None:
    for session in SESSIONS:
        await stage.kube.create_session(session)
    await _original_made(stage, SESSIONS)
    version = stage.world.tunnel.version
    ids = {record["id"] for record in stage.world.records.all()}
    async with _visited(stage, SESSIONS):
        await play.started(stage)
        await play.ready(stage, *SESSIONS)
    await assert_exact(stage, SESSIONS)
    assert stage.world.tunnel.version == version  # the rules are what we would write
    assert {record["id"] for record in stage.world.records.all()} == ids
    assert len(play.writes(stage)) == 1  # one batch that patches the three comments


async def test_a_session_whose_objects_exist_is_ready_in_one_write(stage: Stage) -> None:
    await play.started(stage, RESYNC_INTERVAL="1")
    await stage.kube.create_session(play.HASH)
    await play.ready(stage, play.HASH)
    await play.looked(stage, 2)
    stage.switchboard.forget_calls()
    async with play.diary(stage) as book:
        await play.until(lambda: _are(book.states[play.HASH] == ["Ready"]), "the diary is open")
        await stage.kube.annotate(play.HASH, dict.fromkeys((PREFIX + key for key in book.records[play.HASH][0]), None))
        await play.until(lambda: _are(len(book.records[play.HASH]) > 1), "the record is back")
    assert [(texts["state"], texts["revision"]) for texts in book.records[play.HASH][1:]] == [("Ready", "1")]
    assert not play.writes(stage)


async def test_a_changed_owner_id_takes_over_what_the_previous_one_had(stage: Stage) -> None:
    await _ready_and_stopped(stage, OWNER_ID="before")
    version = stage.world.tunnel.version
    async with _visited(stage, SESSIONS):
        await play.started(stage, "operator-b", OWNER_ID_PREVIOUS="before", RESYNC_INTERVAL="1")
        await play.until(lambda: _owners_are(stage, {"opencode-router"}), "everything is marked anew")
        await play.ready(stage, *SESSIONS)
    await assert_exact(stage, SESSIONS)
    assert stage.world.tunnel.version == version


async def test_without_the_previous_owner_id_everything_is_somebody_elses(stage: Stage) -> None:
    await _ready_and_stopped(stage, OWNER_ID="before")
    before = await stage.left()
    await play.started(stage, "operator-b", RESYNC_INTERVAL="1", ORPHAN_GRACE="1")
    for session in SESSIONS:
        texts = await play.told(stage, session, "RecordConflict")
        assert "of owner before" in texts["last-error"]
    for session in SESSIONS:
        await stage.kube.delete_session(session)
    await play.looked(stage, 3)
    assert await stage.left() == before
    assert not play.writes(stage)


async def test_a_previous_owner_id_that_is_named_late_heals_all(stage: Stage) -> None:
    await _ready_and_stopped(stage, OWNER_ID="before")
    async with _visited(stage, SESSIONS[1:]):
        forgetful = await play.started(stage, "operator-b", RESYNC_INTERVAL="1")
        for session in SESSIONS:
            texts = await play.told(stage, session, "RecordConflict")
            assert "add before to OWNER_ID_PREVIOUS" in texts["last-error"]
        await stage.kube.delete_session(SESSIONS[0])
        assert await forgetful.stop() == 0
        await play.started(stage, "operator-c", OWNER_ID_PREVIOUS="before", RESYNC_INTERVAL="1", ORPHAN_GRACE="1")
        await play.ready(stage, *SESSIONS[1:])
        await play.until(lambda: _is_gone(stage, SESSIONS[0]), "what the ended session left is swept")
    await assert_exact(stage, SESSIONS[1:])


async def test_a_changed_suffix_moves_every_session_to_its_new_name(stage: Stage) -> None:
    await _ready_and_stopped(stage)
    await play.started(stage, "operator-b", ROUTE_SUFFIX="-dev")
    await play.until(lambda: _are_ready_at(stage, "-dev"), "all are Ready at their new names")
    left = await stage.left()
    assert len(left) == 4 * len(SESSIONS)
    assert not [name for name in left if SUFFIX in name.partition(" ")[2].partition(".")[0]]


async def test_a_changed_service_changes_our_rules_in_place(stage: Stage) -> None:
    await _ready_and_stopped(stage, ROUTER_SERVICE_URL="http://old-router:80")
    await play.started(stage, "operator-b", RESYNC_INTERVAL="1")
    await play.until(lambda: _all_answer(stage), "every rule points at the new service")
    await play.ready(stage, *SESSIONS)
    await assert_exact(stage, SESSIONS)
    assert "RuleConflict" not in str(await stage.kube.annotations())


async def test_a_second_instance_on_the_same_zone_and_tunnel_touches_nothing_of_ours(stage: Stage) -> None:
    await stage.kube.request("POST", "/api/v1/namespaces", {"metadata": {"name": "staging"}})
    staging = KubeClient(stage.http, stage.kube_url, "staging")
    await play.started(stage, RESYNC_INTERVAL="1", ORPHAN_GRACE="1")
    for session in SESSIONS:
        await stage.kube.create_session(session)
    await play.ready(stage, *SESSIONS)
    ours = await _snapshot(stage)
    # The same session hash in both, and a service that is the same to the letter.
    await stage.start("staging-a", WATCH_NAMESPACE="staging", ROUTE_SUFFIX="-st", RESYNC_INTERVAL="1", ORPHAN_GRACE="1")
    await staging.create_session(SESSIONS[0])
    await play.until(lambda: _is_ready_in(staging, SESSIONS[0]), "the neighbour's session is Ready")
    await play.looked(stage, 6)
    await staging.delete_session(SESSIONS[0])
    await play.until(lambda: _has_no(stage, "-st"), "the neighbour's session is gone")
    assert await _snapshot(stage) == ours


async def _original_made(stage: Stage, sessions: Sequence[str]) -> None:
    """Everything as the operator before this one left it: its comment, its label, no owner, no annotations."""
    rules = []
    for session in sessions:
        wanted = desired(session, play.profile(stage))
        record = {"type": "CNAME", "name": wanted.hostname, "content": play.target(stage), "ttl": 1, "proxied": True}
        stage.world.records.create({**record, "comment": ORIGINAL_COMMENT}, play.NOW)
        rules.append({"hostname": wanted.hostname, "service": stage.router})
        for route in wanted.routes:
            metadata = {**route.manifest["metadata"], "labels": {MANAGED_BY_LABEL: MANAGER}}
            await stage.kube.create_route({**route.manifest, "metadata": metadata})
    config = dict(stage.world.tunnel.config or {})
    stage.world.tunnel.configure({**config, "ingress": [*rules, *config["ingress"]]}, play.NOW)


async def _ready_and_stopped(stage: Stage, **changes: str) -> None:
    """Sessions that are Ready, made by an operator with other settings that has ended since."""
    operator = await play.started(stage, **changes)
    for session in SESSIONS:
        await stage.kube.create_session(session)
    await play.ready(stage, *SESSIONS)
    assert await operator.stop() == 0
    stage.switchboard.forget_calls()


@asynccontextmanager
async def _visited(stage: Stage, sessions: Sequence[str]) -> AsyncIterator[None]:
    """Visitors come to every session all the time; all of them are answered."""
    statuses: list[int] = []

    async def visit() -> None:
        while True:
            for session in sessions:
                status, _ = await stage.visit(session)
                statuses.append(status)

    async with background(visit):
        yield
    assert set(statuses) == {200}
    assert len(statuses) > len(sessions)


async def _owners_are(stage: Stage, owners: set[str]) -> bool:
    comments = [str(record.get("comment")) for record in stage.world.records.all()]
    found = {comment.partition("owner=")[2].rstrip(";") for comment in comments if "owner=" in comment}
    labels = [route["metadata"].get("labels") or {} for route in (await stage.kube.routes()).values()]
    return found == owners == {each[OWNER_LABEL] for each in labels if OWNER_LABEL in each}


async def _are_ready_at(stage: Stage, suffix: str) -> bool:
    found = await stage.kube.annotations()
    names = {(texts.get("hostname"), texts.get("state")) for texts in found.values()}
    return names == {(f"{session}{suffix}.{DOMAIN}", "Ready") for session in SESSIONS}


async def _is_ready_in(kube: KubeClient, session: str) -> bool:
    return (await kube.annotations())[session].get("state") == "Ready"


async def _all_answer(stage: Stage) -> bool:
    return {(await stage.visit(session))[0] for session in SESSIONS} == {200}


async def _is_gone(stage: Stage, session: str) -> bool:
    return not [name for name in await stage.left() if session in name]


async def _has_no(stage: Stage, suffix: str) -> bool:
    names = [str(record["name"]) for record in stage.world.records.all()]
    return not [name for name in names if suffix in name]


async def _snapshot(stage: Stage) -> str:
    """Everything of our sessions, as one text: records, rules, routes, annotations."""
    records = [record for record in stage.world.records.all() if SUFFIX in str(record["name"])]
    rules: list[dict[str, Any]] = [rule for rule in stage.rules() if SUFFIX in str(rule.get("hostname"))]
    return json.dumps([records, rules, await stage.kube.routes(), await stage.kube.annotations()], sort_keys=True)


async def _are(found: bool) -> bool:
    return found
