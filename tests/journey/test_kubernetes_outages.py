"""The API server is away, forgets, refuses, or lacks a kind: sessions catch up, and `/healthz` (still 200) says why."""

from collections.abc import Mapping
from typing import Any

import pytest

from sandbox.stage import Stage
from tests.journey import play
from tests.journey.exact import assert_exact

pytestmark = pytest.mark.usefixtures("untouched")

SESSIONS = play.hashes(4)
FORBIDDEN = (
    "KubernetesForbidden: the operator may not {verb} {resource}. Grant {verb} on {resource} in namespace "
    "opencode-router to the operator's ServiceAccount (Role in deploy/)"
)


async def test_an_api_server_that_is_down_at_the_start_is_told_and_made_up_for(stage: Stage) -> None:
    await stage.kube.create_session(play.HASH)
    await play.set_kubernetes(stage, down=True)
    operator = await stage.start("operator-a")
    await play.problem(operator, "KubernetesUnavailable: the API server cannot be reached")
    assert not stage.switchboard.calls  # nobody leads
    await play.set_kubernetes(stage, down=False)
    await play.ready(stage, play.HASH)
    await play.no_problem(operator)


async def test_an_api_server_that_goes_away_in_the_middle_is_told_and_made_up_for(stage: Stage) -> None:
    operator = await play.started(stage)
    for session in SESSIONS[:3]:
        await stage.kube.create_session(session)
    await play.ready(stage, *SESSIONS[:3])
    await play.set_kubernetes(stage, down=True)
    await play.problem(operator, "KubernetesUnavailable")
    await play.until(lambda: _role(operator, "standby"), "it does not lead without the lease")
    assert (await stage.visit(SESSIONS[0]))[0] == 200
    stage.switchboard.forget_calls()
    await play.set_kubernetes(stage, down=False)
    await stage.kube.create_session(SESSIONS[3])
    await stage.kube.delete_session(SESSIONS[0])
    await play.ready(stage, *SESSIONS[1:])
    await play.until(lambda: _left(stage, 3), "the deleted one is gone")
    await assert_exact(stage, SESSIONS[1:])
    await play.no_problem(operator)


async def test_a_watch_that_is_cut_and_forgotten_misses_nothing(stage: Stage) -> None:
    await play.started(stage, ORPHAN_GRACE="1", RESYNC_INTERVAL="1")
    for session in SESSIONS[:2]:
        await stage.kube.create_session(session)
    await play.ready(stage, *SESSIONS[:2])
    # Nobody can open a watch again, meanwhile a Pod goes, another comes, and the history is forgotten.
    unavailable = {"code": 503, "message": "etcd leader changed"}
    watches: Any = {"method": "GET", "query": {"watch": "1"}, "path": play.PODS}
    await play.disturb(stage, {"match": watches, "watch": "cut"}, {"match": watches, "status": unavailable})
    await stage.kube.delete_session(SESSIONS[0])
    await stage.kube.create_session(SESSIONS[2])
    await stage.kube.request("POST", "/_sandbox/compact")
    await play.disturb(stage)
    await play.ready(stage, *SESSIONS[1:3])
    await play.until(lambda: _left(stage, 2), "the one whose end nobody saw is swept")
    await assert_exact(stage, SESSIONS[1:3])


async def test_events_that_come_twice_or_never_change_nothing(stage: Stage) -> None:
    await play.started(stage)
    watches: Any = {"method": "GET", "query": {"watch": "1"}}
    await play.disturb(stage, {"match": watches, "watch": "duplicate"})
    for session in SESSIONS:
        await stage.kube.create_session(session)
    await play.ready(stage, *SESSIONS)
    await assert_exact(stage, SESSIONS)


@pytest.mark.parametrize(
    ("method", "path", "resource", "verb"),
    [
        ("PATCH", f"{play.PODS}/.*/status", "pods/status", "patch"),
        ("GET", play.PODS, "pods", "list and watch"),
        ("GET", play.ROUTES, "ingressroutes.traefik.io", "list and watch"),
    ],
)
async def test_a_missing_right_is_told_with_its_name_and_its_grant_noticed(
    stage: Stage, method: str, path: str, resource: str, verb: str
) -> None:
    await play.disturb(stage, _forbidden(method, path, f"{verb.partition(' ')[0]} resource"))
    operator = await stage.start("operator-a")
    await stage.kube.create_session(play.HASH)
    whose = f"; the record of session {play.HASH} is not written" if method == "PATCH" else ""
    assert await play.problem(operator, "KubernetesForbidden") == FORBIDDEN.format(verb=verb, resource=resource) + whose
    await play.disturb(stage)
    await play.ready(stage, play.HASH)
    await play.no_problem(operator)


async def test_routes_that_may_not_be_written_are_told_at_the_session(stage: Stage) -> None:
    await play.disturb(stage, _forbidden("PATCH", f"{play.ROUTES}/.*", "patch resource"))
    await play.started(stage)
    await stage.kube.create_session(play.HASH)
    text = FORBIDDEN.format(verb="patch", resource="ingressroutes.traefik.io")
    texts = await play.told(stage, play.HASH, "KubernetesForbidden")
    assert (texts["last-error"], texts["state"]) == (text, "TunnelRuleAdded")
    assert (await play.news(stage, play.HASH, "KubernetesForbidden"))["note"] == text.partition(": ")[2]


async def test_without_the_right_to_post_events_everything_else_goes_on(stage: Stage) -> None:
    await play.disturb(stage, _forbidden("POST", play.EVENTS, "create resource"))
    operator = await play.started(stage)
    await stage.kube.create_session(play.HASH)
    await play.ready(stage, play.HASH)
    text = FORBIDDEN.format(verb="create", resource="events.events.k8s.io")
    assert await play.problem(operator, "KubernetesForbidden") == text


async def test_a_lease_that_may_not_be_written_is_told(stage: Stage) -> None:
    await play.disturb(stage, _forbidden("POST", play.LEASES, "create resource"))
    operator = await stage.start("operator-a")
    await stage.kube.create_session(play.HASH)
    await play.problem(operator, "KubernetesForbidden: the operator may not create leases.coordination.k8s.io")
    assert not stage.switchboard.calls
    await play.disturb(stage)
    await play.ready(stage, play.HASH)
    await play.no_problem(operator)


async def test_missing_traefik_kinds_are_told_and_their_installation_noticed(stage: Stage) -> None:
    missing = {"code": 404, "message": "the server could not find the requested resource"}
    await play.disturb(stage, {"match": {"path": f"{play.ROUTES}.*"}, "status": missing})
    operator = await stage.start("operator-a")
    await stage.kube.create_session(play.HASH)
    text = (
        "RouteKindMissing: the cluster has no IngressRoute. Install Traefik's CRDs (traefik.io/v1alpha1, Traefik 2.10 "
        "or newer)"
    )
    assert await play.problem(operator, "RouteKindMissing") == text
    await play.disturb(stage)
    await play.ready(stage, play.HASH)
    await play.no_problem(operator)


async def _role(operator: Any, wanted: str) -> bool:
    status, body = await operator.health()
    assert status == 200
    return bool(body["role"] == wanted)


async def _left(stage: Stage, sessions: int) -> bool:
    return len(await stage.left()) == 4 * sessions


def _forbidden(method: str, path: str, what: str) -> Mapping[str, Any]:
    """A fault that refuses these requests as the authorizer does."""
    message = f'it is forbidden: User "system:serviceaccount:opencode-router:opencode-router" cannot {what}'
    return {"match": {"method": method, "path": path}, "status": {"code": 403, "message": message}}
