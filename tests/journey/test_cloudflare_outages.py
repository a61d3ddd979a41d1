"""Cloudflare is away, slow, overloaded, or does not say what it did: sessions catch up, and `/healthz` says why."""

import time

import pytest

from sandbox.stage import Stage
from tests.journey import play
from tests.journey.exact import assert_exact

pytestmark = pytest.mark.usefixtures("untouched")

SESSIONS = play.hashes(4)


async def test_cloudflare_that_is_down_at_the_start_is_told_and_made_up_for(stage: Stage) -> None:
    stage.switchboard.is_down, stage.switchboard.down_status = True, 503
    operator = await play.started(stage)
    await stage.kube.create_session(play.HASH)
    await play.problem(operator, "CloudflareError: HTTP 503 from the Cloudflare API")
    await play.told(stage, play.HASH, "CloudflareError")
    assert (await play.news(stage, play.HASH, "CloudflareError"))["type"] == "Warning"
    stage.switchboard.is_down = False
    await play.ready(stage, play.HASH)
    await play.no_problem(operator)


async def test_cloudflare_that_goes_away_in_the_middle_is_told_and_made_up_for(stage: Stage) -> None:
    operator = await play.started(stage)
    for session in SESSIONS[:2]:
        await stage.kube.create_session(session)
    await play.ready(stage, *SESSIONS[:2])
    stage.switchboard.is_down = True
    await stage.kube.delete_session(SESSIONS[0])
    for session in SESSIONS[2:]:
        await stage.kube.create_session(session)
        await play.told(stage, session, "CloudflareUnreachable")
    await play.problem(operator, "CloudflareUnreachable")
    assert (await stage.kube.annotations())[SESSIONS[1]]["state"] == "Ready"
    stage.switchboard.is_down = False
    await play.ready(stage, *SESSIONS[1:])
    await play.until(lambda: _left(stage, len(SESSIONS) - 1), "the deleted one is gone")
    await assert_exact(stage, SESSIONS[1:])
    await play.no_problem(operator)


async def test_a_429_is_obeyed_by_everything_until_its_time_is_over(stage: Stage) -> None:
    await play.started(stage, RESYNC_INTERVAL="1")
    await stage.kube.create_session(SESSIONS[0])
    await play.ready(stage, SESSIONS[0])
    seconds = 4.0
    limit = {"code": 429, "error": 971, "retry_after": seconds}
    # A look asks for the zone and the tunnel side by side: the second call may arrive after the first was refused.
    stage.switchboard.faults.replace([{"match": {}, "status": limit, "times": 2}])
    set_at = time.monotonic()
    await play.until(lambda: _refused(stage, 2), "both are refused")
    answered = len(stage.switchboard.calls)
    # Everything that would make a call: a new session, one that goes, the look of every second.
    await stage.kube.create_session(SESSIONS[1])
    await stage.kube.delete_session(SESSIONS[0])
    await play.until(lambda: _more_than(stage, answered), "calls again")
    assert time.monotonic() - set_at >= seconds
    await play.ready(stage, SESSIONS[1])


@pytest.mark.parametrize(("method", "path"), [("POST", play.BATCH), ("PUT", play.CONFIGURATION)])
async def test_a_lost_reply_leads_to_no_second_object_and_no_missing_one(stage: Stage, method: str, path: str) -> None:
    await play.started(stage)
    match = {"method": method, "path": path}
    stage.switchboard.faults.replace(
        [
            {"match": match, "drop": "after", "times": 1},
            {"match": match, "drop": "before", "times": 1},
            {"match": match, "status": {"code": 502, "when": "after"}, "times": 1},
        ]
    )
    for session in SESSIONS:
        await stage.kube.create_session(session)
    await play.ready(stage, *SESSIONS)
    await assert_exact(stage, SESSIONS)
    for session in SESSIONS[:2]:
        await stage.kube.delete_session(session)
    await play.until(lambda: _left(stage, 2), "two are gone")
    await assert_exact(stage, SESSIONS[2:])


async def test_a_write_that_takes_effect_late_leads_to_no_second_record(stage: Stage) -> None:
    await play.started(stage, RESYNC_INTERVAL="1")
    stage.switchboard.faults.replace(
        [
            {"match": {"method": "POST", "path": play.BATCH}, "late": 1.5, "times": 1},
            {"match": {"method": "PUT", "path": play.CONFIGURATION}, "late": 1.5, "times": 1},
        ]
    )
    for session in SESSIONS:
        await stage.kube.create_session(session)
    await play.ready(stage, *SESSIONS)
    # Both late effects are over once looks have been made after them; then everything has settled.
    await play.looked(stage, 3)
    await play.ready(stage, *SESSIONS)
    await assert_exact(stage, SESSIONS)


async def test_lists_that_are_delivered_late_are_no_drift(stage: Stage) -> None:
    await play.started(stage, RESYNC_INTERVAL="1")
    stage.switchboard.faults.replace(
        [
            {"match": {"method": "GET", "path": ".*/dns_records"}, "stale": 0.7},
            {"match": {"method": "GET", "path": play.CONFIGURATION}, "stale": 0.7},
        ]
    )
    async with play.diary(stage) as book:
        for session in SESSIONS[:2]:
            await stage.kube.create_session(session)
            await play.looked(stage, 1)
        await play.ready(stage, *SESSIONS[:2])
        await play.looked(stage, 2)
    for session in SESSIONS[:2]:
        assert book.states[session] == play.JOURNEY
        assert book.records[session][-1]["attempts"] == "0"
    await assert_exact(stage, SESSIONS[:2])


async def _left(stage: Stage, sessions: int) -> bool:
    return len(await stage.left()) == 4 * sessions


async def _refused(stage: Stage, times: int) -> bool:
    return [call.status for call in stage.switchboard.calls].count(429) == times


async def _more_than(stage: Stage, calls: int) -> bool:
    return len(stage.switchboard.calls) > calls
