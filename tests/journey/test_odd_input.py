"""Pods and documents that are not as they should be: told to a person, guessed never, and nobody else's trouble."""

from typing import Any

import pytest

from fsm.session import PREFIX
from sandbox.stage import Stage
from tests.journey import play

INVALID = (
    "the label opencode.ai/session-hash is not 12 lower-case hex digits, so this Pod gets no hostname. "
    "Correct the label"
)


@pytest.mark.usefixtures("untouched")
async def test_a_pod_with_a_bad_hash_is_told_and_left_alone(stage: Stage) -> None:
    await play.started(stage)
    bad = "NOT-A-HASH"
    pod = dict(stage.kube.pod(bad))
    pod["metadata"] = {**pod["metadata"], "name": "opencode-session-odd"}
    await stage.kube.request("POST", play.PODS, pod)
    await stage.kube.create_session(play.HASH)
    await play.ready(stage, play.HASH)

    async def events() -> list[tuple[str, str, str]]:
        found = await stage.kube.events("opencode-session-odd")
        return [(event["type"], event["reason"], event["note"]) for event in found]

    await play.until(events, "an Event about the Pod")
    assert await events() == [("Warning", "InvalidSessionHash", INVALID)]
    odd = await stage.kube.request("GET", f"{play.PODS}/opencode-session-odd")
    assert not [key for key in odd["metadata"]["annotations"] if key.startswith(PREFIX)]


@pytest.mark.usefixtures("untouched")
async def test_a_pod_without_a_hash_is_none_of_ours(stage: Stage) -> None:
    operator = await play.started(stage)
    pod = dict(stage.kube.pod(play.OTHER))
    labels = {key: text for key, text in pod["metadata"]["labels"].items() if "hash" not in key}
    pod["metadata"] = {**pod["metadata"], "name": "opencode-export-1", "labels": labels}
    await stage.kube.request("POST", play.PODS, pod)
    await stage.kube.create_session(play.HASH)
    await play.ready(stage, play.HASH)
    await play.no_problem(operator)
    assert not await stage.kube.events("opencode-export-1")
    assert not [name for name in await stage.left() if play.OTHER in name]


@pytest.mark.usefixtures("untouched")
async def test_records_that_nobody_can_read_are_told_and_worked_out_again(stage: Stage) -> None:
    odd = {"state": "Redy", "version": "2", "attempts": "a few", "pod-uid": "another", "since": None}
    broken = dict(zip(play.hashes(len(odd)), odd.items(), strict=True))
    await play.started(stage)
    for session in broken:
        await stage.kube.create_session(session)
    await play.ready(stage, *broken)
    stage.switchboard.forget_calls()
    for session, (key, text) in broken.items():
        await stage.kube.annotate(session, {PREFIX + key: text})
    for session, (key, _) in broken.items():
        said = f"the annotation {key} could not be read; the session was worked out again"
        assert (await play.news(stage, session, "RecordUnreadable"))["note"] == said
        texts = await play.told(stage, session, f"RecordUnreadable: {said}")
        assert texts["state"] == "Ready"
        assert (await stage.visit(session))[0] == 200
    # Everything was there: worked out again from the world, and nothing was made anew.
    assert not play.writes(stage)


async def test_unknown_fields_of_the_tunnels_document_survive_byte_for_byte(stage: Stage) -> None:
    strange: dict[str, Any] = {
        "ingress": [
            {"hostname": "a.example.org", "service": "http://a:1", "field-of-tomorrow": [{"deep": None}, 1.5, ""]},
            {"hostname": "", "service": "http_status:404", "originRequest": {}},
        ],
        "originRequest": {"x": {"y": []}},
        "warp-routing": {"enabled": False, "z": 0},
        "null-field": None,
    }
    stage.world.tunnel.configure(strange, play.NOW)
    before = await stage.foreign()
    await play.started(stage)
    await stage.kube.create_session(play.HASH)
    await play.ready(stage, play.HASH)
    assert await stage.foreign() == before
    await stage.kube.delete_session(play.HASH)
    await play.clean(stage)
    assert await stage.foreign() == before


async def test_a_tunnel_that_was_never_configured_gets_its_first_document(stage: Stage) -> None:
    stage.world.tunnel.config, stage.world.tunnel.version = None, 0
    await play.started(stage)
    await stage.kube.create_session(play.HASH)
    await play.ready(stage, play.HASH)
    assert stage.rules() == [{"hostname": play.HOST, "service": stage.router}, {"service": "http_status:404"}]
    assert (await stage.visit(play.HASH))[0] == 200
    await stage.kube.delete_session(play.HASH)
    await play.clean(stage)
    assert stage.rules() == [{"service": "http_status:404"}]
