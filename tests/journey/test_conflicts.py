"""Something foreign has a wanted name: it is told with the remedy, never touched, and no obstacle once it is gone."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from sandbox.kubeclient import NAMESPACE
from sandbox.stage import Stage
from tests.journey import play

pytestmark = pytest.mark.usefixtures("untouched")

SESSIONS = play.hashes(3)
GOES_ON = "and the session goes on by itself"


async def test_foreign_records_of_wanted_names_stay_and_the_sessions_wait_for_their_end(stage: Stage) -> None:
    records: list[dict[str, Any]] = [
        {"type": "A", "content": "192.0.2.9", "proxied": True},
        {"type": "CNAME", "content": "elsewhere.example.org", "proxied": True, "comment": "mine"},
        {"type": "TXT", "content": "managed by opencode-cloudflare-operator; owner=opencode-router;"},
    ]
    texts, made = {}, []
    for session, record in zip(SESSIONS, records, strict=True):
        name = play.host(session)
        made.append(stage.world.records.create({"ttl": 1, **record, "name": name}, play.NOW).body["result"])
        what = f"{name} has a record of type {record['type']} that is not this operator's"
        texts[session] = f"RecordConflict: {what}. Delete or rename that record, {GOES_ON}"
    await play.started(stage, RESYNC_INTERVAL="1")
    await _are_refused(stage, texts)
    for record in made:
        assert stage.world.records.at(record["name"]) == [record]
        stage.world.records.delete(record["id"])
    await play.ready(stage, *SESSIONS)


async def test_foreign_rules_of_wanted_names_stay_and_the_sessions_wait_for_their_end(stage: Stage) -> None:
    rules: list[dict[str, Any]] = [
        {"service": "http://elsewhere:80"},
        {"service": stage.router, "path": "^/admin"},
        {"service": stage.router, "originRequest": {"noTLSVerify": True}},
    ]
    before, texts = dict(stage.world.tunnel.config or {}), {}
    for session, rule in zip(SESSIONS, rules, strict=True):
        rule["hostname"] = play.host(session)
        what = f"the tunnel has another rule for {rule['hostname']} that is not this operator's"
        texts[session] = f"RuleConflict: {what}. Delete that rule, {GOES_ON}"
    _configure(stage, {**before, "ingress": [*rules, *before["ingress"]]})
    await play.started(stage, RESYNC_INTERVAL="1")
    await _are_refused(stage, texts)
    assert stage.rules() == [*rules, *before["ingress"]]
    _configure(stage, before)
    await play.ready(stage, *SESSIONS)


async def test_foreign_routes_of_wanted_names_stay_and_the_sessions_wait_for_their_end(stage: Stage) -> None:
    owners = {SESSIONS[0]: {}, SESSIONS[1]: {"cloudflare.opencode.ai/owner": "staging"}}
    for session, labels in owners.items():
        await stage.kube.create_route(_foreign_route(session, labels))
    before = await stage.kube.routes()
    await play.started(stage)
    exists = f"RouteConflict: IngressRoute {NAMESPACE}/{{}} exists and"
    await _are_refused(
        stage,
        {
            SESSIONS[0]: exists.format(_app(SESSIONS[0])) + " was not made by this operator. Delete it, or label it "
            "app.kubernetes.io/managed-by=opencode-cloudflare-operator if it may be taken over",
            SESSIONS[1]: exists.format(_app(SESSIONS[1])) + " belongs to owner staging. Delete it, or add its owner to "
            "OWNER_ID_PREVIOUS if it may be taken over",
        },
    )
    assert await stage.kube.routes() == before
    for session in owners:
        await stage.kube.request("DELETE", f"{play.ROUTES}/{_app(session)}")
    await play.ready(stage, *owners)


async def test_a_conflict_of_one_session_holds_up_no_other(stage: Stage) -> None:
    stage.world.records.create({"type": "A", "name": play.HOST, "content": "192.0.2.9", "ttl": 1}, play.NOW)
    await play.started(stage)
    others = play.hashes(5)
    for session in (play.HASH, *others):
        await stage.kube.create_session(session)
    await play.ready(stage, *others)
    await play.told(stage, play.HASH, "RecordConflict")


@pytest.mark.parametrize("undo", ["record", "rule", "route"])
async def test_what_somebody_removes_of_a_ready_session_comes_back_and_is_told(stage: Stage, undo: str) -> None:
    await play.started(stage, RESYNC_INTERVAL="1")
    await stage.kube.create_session(play.HASH)
    await play.ready(stage, play.HASH)
    async with play.diary(stage) as book:
        await _UNDO[undo](stage)
        errors = {"record": "DnsRecordLost", "rule": "TunnelRuleLost", "route": "RoutesLost"}
        assert (await play.news(stage, play.HASH, errors[undo]))["type"] == "Warning"
        await play.ready(stage, play.HASH)
    fallen = {"record": play.JOURNEY, "rule": play.JOURNEY[1:], "route": play.JOURNEY[2:]}[undo]
    assert book.states[play.HASH] == ["Ready", fallen[0], *_resumed(book.states[play.HASH], fallen)]
    assert (await stage.visit(play.HASH))[0] == 200


def _resumed(states: list[str], fallen: list[str]) -> list[str]:
    """After a repair what is still there is walked through in one write, so only the end is sure."""
    rest = states[2:]
    assert rest == [state for state in fallen[1:] if state in rest]
    assert rest[-1] == "Ready"
    return rest


async def _are_refused(stage: Stage, texts: Mapping[str, str]) -> None:
    """The sessions' Pods appear: people are told, everywhere, and nothing is written for any of them."""
    for session in texts:
        await stage.kube.create_session(session)
    for session, text in texts.items():
        reason, _, note = text.partition(": ")
        found = await play.told(stage, session, reason)
        assert (found["last-error"], found["state"]) == (text, "Pending")
        event = await play.news(stage, session, reason)
        assert (event["type"], event["note"]) == ("Warning", note)
    assert not play.writes(stage)


def _app(session: str) -> str:
    return f"opencode-session-{session}-oc-app"


def _foreign_route(session: str, labels: Mapping[str, str]) -> Mapping[str, Any]:
    return {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "IngressRoute",
        "metadata": {"name": _app(session), "namespace": NAMESPACE, "labels": labels},
        "spec": {"entryPoints": ["web"], "routes": [{"kind": "Rule", "match": "Host(`a.example.org`)"}]},
    }


def _configure(stage: Stage, config: Mapping[str, Any]) -> None:
    stage.world.tunnel.configure(dict(config), play.NOW)


async def _drop_record(stage: Stage) -> None:
    (record,) = stage.world.records.at(play.HOST)
    stage.world.records.delete(record["id"])


async def _drop_rule(stage: Stage) -> None:
    config = dict(stage.world.tunnel.config or {})
    _configure(stage, {**config, "ingress": [rule for rule in stage.rules() if rule.get("hostname") != play.HOST]})


async def _drop_route(stage: Stage) -> None:
    await stage.kube.request("DELETE", f"{play.ROUTES}/{_app(play.HASH)}")


_UNDO: Mapping[str, Callable[[Stage], Awaitable[None]]] = {
    "record": _drop_record,
    "rule": _drop_rule,
    "route": _drop_route,
}
