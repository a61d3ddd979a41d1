"""SIGTERM: a write in flight ends, then the lease is handed over at once; and a leader that was suspended."""

import signal
from collections.abc import Mapping
from typing import Any

import pytest

from controller.background import background
from sandbox.operators import Replica
from sandbox.stage import Stage
from tests.journey import play

pytestmark = pytest.mark.usefixtures("untouched")


@pytest.mark.parametrize(("method", "path"), [("PUT", play.CONFIGURATION), ("POST", play.BATCH)])
async def test_a_write_in_flight_ends_before_the_lease_is_handed_over(stage: Stage, method: str, path: str) -> None:
    # A call may take 0.6 of the lease, and the standby looks every seventh: time enough to see that it waits.
    first = await play.started(stage, "operator-a", LEASE_DURATION="6")
    second = await stage.start("operator-b", LEASE_DURATION="6")
    await second.port()
    stage.switchboard.faults.replace([{"match": {"method": method, "path": path}, "hold": "before", "times": 1}])
    holders: list[str] = []
    async with background(lambda: _follow_lease(stage, holders)):
        await stage.kube.create_session(play.HASH)
        await play.until(lambda: _held(stage), "the write is held")
        (call,) = [call for call in stage.switchboard.calls if call.status is None]
        first.send(signal.SIGTERM)
        await play.until(lambda: _logged(first, '"stopping"'), "the signal arrived")
        await stage.kube.request("DELETE", "/_sandbox/calls")
        await play.until(lambda: _lease_was_read(stage), "the standby has looked again")
        assert holders == ["operator-a"]  # it may still write, so nobody else may
        stage.switchboard.release()
        assert await first.process.wait() == 0
        assert call.status == 200
        await play.until(lambda: _are(holders[-1:] == ["operator-b"]), "operator-b leads")
        await play.ready(stage, play.HASH)
    assert holders == ["operator-a", "", "operator-b"]
    # What was written in the last moment is used, not written again.
    assert len([each for each in play.calls_of(stage, method) if each.status == 200]) == 1


async def test_the_other_replica_takes_over_at_once_what_is_handed_over(stage: Stage) -> None:
    first = await play.started(stage, "operator-a", LEASE_DURATION="15")
    second = await stage.start("operator-b", LEASE_DURATION="15")
    await second.port()
    holders: list[str] = []
    async with background(lambda: _follow_lease(stage, holders)):
        assert await first.stop() == 0
        await play.until(lambda: _are(holders[-1:] == ["operator-b"]), "operator-b leads")
    # The Lease was free when it was taken: nobody waited for it to run out.
    assert holders == ["operator-a", "", "operator-b"]


async def test_a_standby_that_stops_leaves_the_lease_alone(stage: Stage) -> None:
    await play.started(stage, "operator-a")
    second = await stage.start("operator-b")
    await second.port()
    holders: list[str] = []
    async with background(lambda: _follow_lease(stage, holders)):
        assert await second.stop() == 0
        await stage.kube.create_session(play.HASH)
        await play.ready(stage, play.HASH)
    assert holders == ["operator-a"]


async def test_a_suspended_leader_writes_nothing_once_another_one_leads(stage: Stage) -> None:
    first = await play.started(stage, "operator-a")
    await stage.kube.create_session(play.HASH)
    await play.ready(stage, play.HASH)
    second = await stage.start("operator-b")
    first.send(signal.SIGSTOP)
    await play.until(lambda: _leads(stage, second), "operator-b leads")
    await stage.kube.create_session(play.OTHER)
    await play.ready(stage, play.OTHER)
    stage.switchboard.forget_calls()
    first.send(signal.SIGCONT)
    await play.until(lambda: _logged(first, '"not leading any more"'), "operator-a knows")
    assert not play.writes(stage)
    assert await stage.leader() is second


async def _follow_lease(stage: Stage, holders: list[str]) -> None:
    async for _, lease in stage.kube.follow(play.LEASES):
        holder = _holder(lease)
        if holders[-1:] != [holder]:
            holders.append(holder)


def _holder(lease: Mapping[str, Any]) -> str:
    return str(lease["spec"].get("holderIdentity") or "").rpartition("_")[0]


async def _held(stage: Stage) -> bool:
    return bool(stage.switchboard.held())


async def _lease_was_read(stage: Stage) -> bool:
    asked = await stage.kube.request("GET", "/_sandbox/calls")
    return any(
        call["method"] == "GET" and call["path"].startswith(play.LEASES) for call in asked if not call["is_watch"]
    )


async def _logged(replica: Replica, text: str) -> bool:
    return text in replica.log.read_text()


async def _leads(stage: Stage, replica: Replica) -> bool:
    return await stage.leader() is replica


async def _are(found: bool) -> bool:
    return found
