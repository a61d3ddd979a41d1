"""What sessions cost in calls and in bytes, without any clock: the guard of `bench`'s most important rows, for every
`make test`."""

import gc
import json
import tracemalloc
from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

from bench.figures import floor_of_burst
from bench.ground import Asked, asked_of_sandbox, upkeep
from cloudflare_ops import ownership
from cloudflare_ops.ingress import Ingress
from cloudflare_ops.zone import ZoneView
from fsm import codec
from fsm.desired import desired
from fsm.record import SessionRecord
from fsm.session import HASH_LABEL
from fsm.states import State
from k8s.client import Kube
from k8s.pods import Pods
from k8s.routes import Routes
from sandbox.operators import Replica
from sandbox.stage import Stage
from tests.builders import NOW, PROFILE
from tests.journey import play

MANY = 50  # sessions: few enough that even a busy machine tells all of them to be Pending before the first group goes
# Five states, two routes, one Event.
PER_SESSION = {"PATCH pods/status": 5, "PATCH ingressroutes": 2, "POST events": 1}
LOOKS = 4
REMEMBERED = 500  # sessions
MOST_BYTES = 5_500  # that are remembered of a session at rest: 4,700 are, with Python 3.11


async def test_a_burst_costs_what_one_session_costs_at_cloudflare_and_eight_writes_each_at_kubernetes(
    stage: Stage,
) -> None:
    await _with_sessions_ready(stage)
    assert stage.switchboard.total <= floor_of_burst(MANY) + 2, stage.switchboard.counts
    assert await _written(stage) == {kind: each * MANY for kind, each in PER_SESSION.items()}


async def test_sessions_that_come_one_by_one_cost_three_calls_and_eight_writes_each(stage: Stage) -> None:
    await play.started(stage, RESYNC_INTERVAL="600")
    await play.until(lambda: _has_looked(stage), "the operator's first look")
    before = stage.switchboard.total
    few = play.hashes(4)
    for session in few:
        await stage.kube.create_session(session)
        await play.ready(stage, session)
    await play.until(lambda: _has_told(stage, len(few)), "an Event about each")
    # Batch, GET and PUT; the GET is not needed soon after another write.
    assert stage.switchboard.total - before <= 3 * len(few), stage.switchboard.counts
    assert await _written(stage) == {kind: each * len(few) for kind, each in PER_SESSION.items()}


async def test_bad_neighbours_cost_the_others_no_call(stage: Stage) -> None:
    good, bad = play.hashes(MANY), play.hashes(3, first=MANY)
    for session in bad:
        record = {"type": "A", "name": play.host(session), "content": "192.0.2.9", "ttl": 300}
        stage.world.records.create(record, play.NOW)
    for session in (*bad, *good):
        await stage.kube.create_session(session)
    await play.started(stage, RESYNC_INTERVAL="600")
    await play.ready(stage, *good)
    assert stage.switchboard.total <= floor_of_burst(MANY) + 2, stage.switchboard.counts


async def test_a_restart_and_rest_afterwards_write_nothing_and_look_with_two_calls(stage: Stage) -> None:
    operator = await _with_sessions_ready(stage)
    await operator.stop()
    stage.switchboard.forget_calls()
    before = await _written(stage)
    await play.started(stage, RESYNC_INTERVAL="1")
    await play.looked(stage, LOOKS)
    counts = Counter({kind.replace("accounts/cfd_", ""): n for kind, n in stage.switchboard.counts.items()})
    looks = counts["GET tunnel/configurations"]
    # A look's two calls go out together, so one of them may be ahead.
    assert abs(counts["GET zones/dns_records"] - looks) <= 1
    assert set(counts) == {"GET zones", "GET zones/dns_records", "GET tunnel/configurations"}, counts
    assert counts["GET zones"] == 1
    assert await _written(stage) == before


async def test_a_document_that_somebody_reset_is_mended_for_all_with_one_write(stage: Stage) -> None:
    operator = await _with_sessions_ready(stage)
    await operator.stop()
    stage.world.tunnel.configure({"ingress": [{"service": "http_status:404"}]}, play.NOW)
    stage.switchboard.forget_calls()
    await play.started(stage, RESYNC_INTERVAL="600")
    await play.until(lambda: _has_rules(stage, MANY), "every session's rule again")
    # On a busy machine the first one may go before everybody has wished.
    assert stage.switchboard.counts["PUT accounts/cfd_tunnel/configurations"] <= 2, stage.switchboard.counts


async def test_the_end_of_all_costs_some_groups_at_cloudflare_and_two_writes_each_at_kubernetes(stage: Stage) -> None:
    await _with_sessions_ready(stage)
    stage.switchboard.forget_calls()
    before = await _written(stage)
    for session in play.hashes(MANY):
        await stage.kube.delete_session(session)
    await play.clean(stage)
    written = await _written(stage) - before
    # A Pod that goes at once may be gone when its end is to be written on it.
    assert written.pop("PATCH pods/status", 0) <= MANY
    assert written == {"DELETE ingressroutes": 2 * MANY}
    # The Pods go one by one, so they come to some groups.
    assert stage.switchboard.total < MANY, stage.switchboard.counts


async def _with_sessions_ready(stage: Stage) -> Replica:
    """An operator that found all sessions when it started, and has told everybody that they are Ready."""
    sessions = play.hashes(MANY)
    for session in sessions:
        await stage.kube.create_session(session)
    operator = await play.started(stage, RESYNC_INTERVAL="600")
    await play.ready(stage, *sessions)
    await play.until(lambda: _has_told(stage, MANY), "an Event about each")
    return operator


async def _has_looked(stage: Stage) -> bool:
    return {"GET zones/dns_records", "GET accounts/cfd_tunnel/configurations"} <= stage.switchboard.counts.keys()


async def _has_rules(stage: Stage, sessions: int) -> bool:
    return len(stage.rules()) > sessions


async def _has_told(stage: Stage, sessions: int) -> bool:
    return (await _written(stage))["POST events"] >= sessions


async def _written(stage: Stage) -> Asked:
    """What the operator wrote to Kubernetes for sessions; the test waits by reading, and the stage POSTs a route."""
    asked = await asked_of_sandbox(stage.kube)
    asked -= upkeep(asked)
    theirs = ("GET", "POST ingressroutes")
    return Asked({kind: number for kind, number in asked.items() if not kind.startswith(theirs)})


async def test_what_is_remembered_of_a_session_at_rest_is_some_kilobytes() -> None:
    """The four caches, filled as the watches and looks fill them; whatever else a reply says must be gone."""
    sessions = play.hashes(REMEMBERED)
    # Python renews its table of known texts (1.9 MB in a long run of tests) once it is full, in the middle of whatever
    # goes on: in the next measure it has room again.
    assert min(_remembered(sessions), _remembered(sessions)) <= MOST_BYTES * len(sessions)


def _remembered(sessions: list[str]) -> int:
    """Bytes in all caches."""
    tracemalloc.start()
    try:
        before = _traced()
        caches = (_pods(sessions), _routes(sessions), _zone(sessions), _tunnel(sessions))
        found = _traced() - before
    finally:
        tracemalloc.stop()
    assert len(caches[0].sessions()) == len(caches[1].sessions()) == len(sessions)
    return found


def _nobody(*_: object) -> None:
    """Who would be told."""


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _parsed(document: Mapping[str, Any]) -> Any:
    """As it comes out of a reply: no text of it is shared with anything."""
    return json.loads(json.dumps(document))


def _pods(sessions: list[str]) -> Pods:
    pods = Pods(
        cast("Kube", None),
        namespace="ns",
        selector="",
        now=lambda: 0.0,
        on_change=_nobody,
        on_gone=_nobody,
        on_invalid=_nobody,
    )
    for number, session in enumerate(sessions, 1):
        record = SessionRecord(f"uid-{number}", State.READY, play.host(session), NOW, PROFILE.service, revision=5)
        metadata = {
            "namespace": "ns",
            "name": f"opencode-session-{session}",
            "uid": f"uid-{number}",
            "resourceVersion": str(number),
            "creationTimestamp": "2026-11-23T02:00:00Z",
            "labels": {HASH_LABEL: session},
            "annotations": codec.render(record) | {"opencode.ai/note": "x" * 5_000},
        }
        pods.reflector.offer(_parsed({"metadata": metadata}), 0.0)
    return pods


def _routes(sessions: list[str]) -> Routes:
    routes = Routes(
        cast("Kube", None),
        namespace="ns",
        owners=(PROFILE.owner,),
        living=cast("Any", None),
        remaining=lambda: 0.0,
        now=lambda: 0.0,
        on_change=_nobody,
        on_recovered=_nobody,
    )
    for session in sessions:
        for route in desired(session, PROFILE).routes:
            metadata = {**route.manifest["metadata"], "uid": "uid", "resourceVersion": "1"}
            routes.reflector.offer(_parsed({**route.manifest, "metadata": metadata}), 0.0)
    return routes


def _zone(sessions: list[str]) -> ZoneView:
    zone = ZoneView(PROFILE)
    bodies = [ownership.body_of(desired(session, PROFILE).records[0], PROFILE) for session in sessions]
    listed = [{**body, "id": f"{number:032x}", "meta": "x" * 5_000} for number, body in enumerate(bodies)]
    zone.replace(PROFILE.domain, _parsed({"result": listed})["result"], began=0.0, ended=0.0)
    return zone


def _tunnel(sessions: list[str]) -> tuple[Ingress, object]:
    rules = [rule for session in sessions for rule in desired(session, PROFILE).rules]
    ingress = Ingress(_parsed({"ingress": [{"hostname": rule.hostname, "service": rule.service} for rule in rules]}))
    return ingress, ingress.plain_by_session()
