"""One session, from its Pod to its hostname and back to nothing, and what that costs."""

import pytest

from sandbox.stage import Stage
from tests.journey.play import (
    BATCH, HASH, HOST, JOURNEY, LEASES, PODS, clean, diary, hashes, news, ready, started, target, until, writes,
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("untouched")


async def test_a_session_walks_through_all_states_in_order_and_leaves_nothing(stage: Stage) -> None:
    await started(stage)
    assert (await stage.visit(HASH))[0] == 530  # no such name yet
    async with diary(stage) as book:
        await stage.kube.create_session(HASH, node="node-1")
        await ready(stage, HASH)
        assert await stage.visit(HASH, "/hello?x=1") == (200, f"router: session {HASH}, path /hello\n")
        await stage.kube.delete_session(HASH)
        await clean(stage)
        await until(lambda: _last_is(book.states[HASH], "TearingDown"), "TearingDown")
    assert book.states[HASH] == [*JOURNEY, "TearingDown"]
    assert (await stage.visit(HASH))[0] == 530
    await stage.kube.end_session(HASH)


async def test_what_is_made_is_exactly_what_the_session_should_have(stage: Stage) -> None:
    await started(stage)
    await stage.kube.create_session(HASH)
    await ready(stage, HASH)
    (record,) = stage.world.records.at(HOST)
    assert (record["type"], record["content"], record["proxied"]) == ("CNAME", target(stage), True)
    assert record["comment"] == "managed by opencode-cloudflare-operator; owner=opencode-router;"
    assert {"hostname": HOST, "service": stage.router} in stage.rules()
    routes = await stage.kube.routes()
    app = routes[f"opencode-session-{HASH}-oc-app"]["spec"]
    assert app == {
        "entryPoints": ["web"],
        "routes": [
            {
                "kind": "Rule",
                "match": f"Host(`{HOST}`)",
                "priority": 1,
                "middlewares": [{"name": "opencode-router-oauth2-chain", "namespace": "opencode-router"}],
                "services": [{"name": "opencode-router", "namespace": "opencode-router", "port": 80}],
            }
        ],
    }
    signin = routes[f"opencode-session-{HASH}-oc-signin"]["spec"]
    assert signin["routes"][0]["match"] == f"Host(`{HOST}`) && PathPrefix(`/oauth2/`)"
    assert "middlewares" not in signin["routes"][0]
    assert signin["routes"][0]["services"] == [{"name": "oauth2-proxy-users", "namespace": "oauth2-proxy", "port": 80}]


async def test_a_person_reads_in_the_pods_annotations_and_events_where_it_stands(stage: Stage) -> None:
    await started(stage)
    await stage.kube.create_session(HASH)
    await ready(stage, HASH)
    texts = (await stage.kube.annotations())[HASH]
    pod = await stage.kube.session(HASH)
    assert texts.pop("since").endswith("Z")
    assert int(texts.pop("revision")) <= len(JOURNEY)
    assert texts == {
        "version": "1",
        "state": "Ready",
        "hostname": HOST,
        "service": stage.router,
        "attempts": "0",
        "pod-uid": pod["metadata"]["uid"],
    }
    event = await news(stage, HASH, "Ready")
    assert (event["type"], event["note"]) == ("Normal", f"https://{HOST} is ready")
    assert event["regarding"]["uid"] == pod["metadata"]["uid"]


async def test_a_session_costs_five_cloudflare_calls_and_nine_kubernetes_calls(stage: Stage) -> None:
    await started(stage, RESYNC_INTERVAL="600")
    await until(lambda: _are(len(stage.switchboard.calls) >= 2), "the first look")
    stage.switchboard.forget_calls()
    await stage.kube.request("DELETE", "/_sandbox/calls")
    async with diary(stage) as book:
        await stage.kube.create_session(HASH)
        await until(lambda: _last_is(book.states[HASH], "Ready"), "Ready")
    assert len(stage.switchboard.calls) <= 5, stage.switchboard.counts
    asked = await stage.kube.request("GET", "/_sandbox/calls")
    made = [call for call in asked if not call["is_watch"] and not call["path"].startswith(LEASES)]
    own = next(call for call in made if (call["method"], call["path"]) == ("POST", PODS))
    assert sum(call["count"] for call in made if call is not own) <= 9, made


async def test_a_burst_of_a_hundred_sessions_costs_a_handful_of_cloudflare_calls(stage: Stage) -> None:
    await started(stage, RESYNC_INTERVAL="600")
    stage.switchboard.forget_calls()
    sessions = hashes(100)
    for session in sessions:
        await stage.kube.create_session(session)
    await ready(stage, *sessions, within=60)
    # The Pods come one by one, so a first few may be on their way before the others: a few groups, not a hundred.
    assert len(stage.switchboard.calls) <= 30, stage.switchboard.counts
    for session in sessions:
        await stage.kube.delete_session(session)
    await clean(stage, within=60)
    assert len(stage.switchboard.calls) <= 60, stage.switchboard.counts
    assert any(call.path.endswith(BATCH[2:]) for call in writes(stage))


async def _last_is(states: list[str], wanted: str) -> bool:
    return states[-1:] == [wanted]


async def _are(found: bool) -> bool:
    return found
