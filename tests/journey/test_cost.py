"""What sessions cost in calls, without any clock: the guard of `bench`'s most important rows, for every `make test`."""

from collections import Counter

from bench.figures import floor_of_burst
from bench.ground import Asked, asked_of_sandbox
from sandbox.operators import Replica
from sandbox.stage import Stage
from tests.journey import play

MANY = 50  # sessions: few enough that even a busy machine tells all of them to be Pending before the first group goes
# Five states, two routes, one Event.
PER_SESSION = {"PATCH pods/status": 5, "PATCH ingressroutes": 2, "POST events": 1}
LOOKS = 4


async def test_a_burst_costs_what_one_session_costs_at_cloudflare_and_eight_writes_each_at_kubernetes(
    stage: Stage,
) -> None:
    await _with_sessions_ready(stage)
    assert stage.switchboard.total <= floor_of_burst(MANY) + 2, stage.switchboard.counts
    assert await _written(stage) == {kind: each * MANY for kind, each in PER_SESSION.items()}


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
    await play.until(lambda: _has_told(stage), "an Event about each")
    return operator


async def _has_told(stage: Stage) -> bool:
    return (await _written(stage))["POST events"] >= MANY


async def _written(stage: Stage) -> Asked:
    """What the operator wrote to Kubernetes; reads are what the test itself waits with, a POST is the stage's route."""
    asked = await asked_of_sandbox(stage.kube)
    theirs = ("GET", "POST ingressroutes")
    return Asked({kind: number for kind, number in asked.items() if not kind.startswith(theirs)})
