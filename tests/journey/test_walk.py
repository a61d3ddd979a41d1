"""One session, from its Pod to its hostname and back to nothing, and what that costs."""

import pytest

from sandbox.stage import Stage
from tests.journey import play

pytestmark = pytest.mark.usefixtures("untouched")


async def test_a_session_walks_through_all_states_in_order_and_leaves_nothing(stage: Stage) -> None:
    await play.started(stage)
    assert (await stage.visit(play.HASH))[0] == 530  # no such name yet
    async with play.diary(stage) as book:
        await stage.kube.create_session(play.HASH, node="node-1")
        await play.ready(stage, play.HASH)
        assert await stage.visit(play.HASH, "/hello?x=1") == (200, f"router: session {play.HASH}, path /hello\n")
        await stage.kube.delete_session(play.HASH)
        await play.clean(stage)
        await play.until(lambda: _last_is(book.states[play.HASH], "TearingDown"), "TearingDown")
    assert book.states[play.HASH] == [*play.JOURNEY, "TearingDown"]
    assert (await stage.visit(play.HASH))[0] == 530
    await stage.kube.end_session(play.HASH)


async def test_what_is_made_and_told_is_exactly_what_the_session_should_have(stage: Stage) -> None:
    await play.started(stage)
    await stage.kube.create_session(play.HASH)
    await play.ready(stage, play.HASH)
    await _assert_told(stage)
    (record,) = stage.world.records.at(play.HOST)
    assert (record["type"], record["content"], record["proxied"]) == ("CNAME", play.target(stage), True)
    assert record["comment"] == "managed by opencode-cloudflare-operator; owner=opencode-router;"
    assert {"hostname": play.HOST, "service": stage.router} in stage.rules()
    routes = await stage.kube.routes()
    app = routes[f"opencode-session-{play.HASH}-oc-app"]["spec"]
    assert app == {
        "entryPoints": ["web"],
        "routes": [
            {
                "kind": "Rule",
                "match": f"Host(`{play.HOST}`)",
                "priority": 1,
                "middlewares": [{"name": "opencode-router-oauth2-chain", "namespace": "opencode-router"}],
                "services": [{"name": "opencode-router", "namespace": "opencode-router", "port": 80}],
            }
        ],
    }
    signin = routes[f"opencode-session-{play.HASH}-oc-signin"]["spec"]
    assert signin["routes"][0]["match"] == f"Host(`{play.HOST}`) && PathPrefix(`/oauth2/`)"
    assert "middlewares" not in signin["routes"][0]
    assert signin["routes"][0]["services"] == [{"name": "oauth2-proxy-users", "namespace": "oauth2-proxy", "port": 80}]


async def test_a_session_costs_five_cloudflare_calls_and_nine_kubernetes_calls(stage: Stage) -> None:
    await play.started(stage, RESYNC_INTERVAL="600")
    await play.until(lambda: _are(len(stage.switchboard.calls) >= 2), "the first look")
    stage.switchboard.forget_calls()
    await stage.kube.request("DELETE", "/_sandbox/calls")
    async with play.diary(stage) as book:
        await stage.kube.create_session(play.HASH)
        await play.until(lambda: _last_is(book.states[play.HASH], "Ready"), "Ready")
    assert len(stage.switchboard.calls) <= 5, stage.switchboard.counts
    asked = await stage.kube.request("GET", "/_sandbox/calls")
    made = [call for call in asked if not call["is_watch"] and not call["path"].startswith(play.LEASES)]
    own = next(call for call in made if (call["method"], call["path"]) == ("POST", play.PODS))
    assert sum(call["count"] for call in made if call is not own) <= 9, made


async def test_a_burst_of_a_hundred_sessions_costs_a_handful_of_cloudflare_calls(stage: Stage) -> None:
    await play.started(stage, RESYNC_INTERVAL="600")
    stage.switchboard.forget_calls()
    sessions = play.hashes(100)
    for session in sessions:
        await stage.kube.create_session(session)
    await play.ready(stage, *sessions, within=60)
    # The Pods come one by one, so a first few may be on their way before the others: a few groups, not a hundred.
    assert len(stage.switchboard.calls) <= 30, stage.switchboard.counts
    for session in sessions:
        await stage.kube.delete_session(session)
    await play.clean(stage, within=60)
    assert len(stage.switchboard.calls) <= 60, stage.switchboard.counts
    assert any(call.path.endswith(play.BATCH[2:]) for call in play.writes(stage))


async def _assert_told(stage: Stage) -> None:
    """A person reads in the Pod's annotations and Events where it stands."""
    texts = (await stage.kube.annotations())[play.HASH]
    pod = await stage.kube.session(play.HASH)
    assert texts.pop("since").endswith("Z")
    assert int(texts.pop("revision")) <= len(play.JOURNEY)
    assert texts == {
        "version": "1",
        "state": "Ready",
        "hostname": play.HOST,
        "service": stage.router,
        "attempts": "0",
        "pod-uid": pod["metadata"]["uid"],
    }
    event = await play.news(stage, play.HASH, "Ready")
    assert (event["type"], event["note"]) == ("Normal", f"https://{play.HOST} is ready")
    assert event["regarding"]["uid"] == pod["metadata"]["uid"]


async def _last_is(states: list[str], wanted: str) -> bool:
    return states[-1:] == [wanted]


async def _are(found: bool) -> bool:
    return found
