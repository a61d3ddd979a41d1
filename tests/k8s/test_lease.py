"""What the Lease says and how long it lasts: times, limits, notes, other people's fields."""

import asyncio
from datetime import UTC, timedelta, timezone

import pytest

from fsm.errors import PermanentError, StaleError
from k8s.lease_store import LeaseStore
from tests.k8s.election import LEASES, MICROTIME, L, LeaseServer, Replica
from tests.k8s.fake import refusal
from tests.k8s.virtual import now, virtual


@virtual
async def test_what_remains_counts_from_the_sending_of_the_last_renewal() -> None:
    server = LeaseServer()
    server.latency = 1.0
    replica = Replica(server, "a")
    async with replica.running():
        assert replica.elector.remaining() == 0
        await asyncio.sleep(2.1)  # read, create: sent one second after the start
        assert replica.elector.remaining() == pytest.approx(L - L / 15 - 1.1)


@virtual
async def test_a_suspended_machine_finds_that_nothing_remains() -> None:
    server = LeaseServer()
    replica = Replica(server, "a")
    async with replica.running():
        await asyncio.sleep(1)
        assert replica.elector.remaining() > 10
        replica.suspended = 3_600.0
        assert replica.elector.remaining() == 0


@virtual
async def test_no_request_takes_more_than_half_of_the_renewal_deadline() -> None:
    server = LeaseServer()
    replica = Replica(server, "a")
    async with replica.running():
        await asyncio.sleep(30)
        server.is_hanging = True
        await asyncio.sleep(60)
    assert max(server.limits) < L * 2 / 3 / 2


@virtual
@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-5))])
async def test_times_are_utc_with_six_digits_also_on_a_whole_second(zone: timezone) -> None:
    server = LeaseServer()
    async with Replica(server, "a", zone=zone).running():
        await asyncio.sleep(0.5)
        assert MICROTIME.fullmatch(server.spec["renewTime"])
        assert MICROTIME.fullmatch(server.spec["acquireTime"])
        assert server.spec["renewTime"] == "2026-11-23T00:16:40.000000Z"


@virtual
async def test_a_duration_with_a_fraction_is_rounded_up_for_the_others() -> None:
    server = LeaseServer()
    replica = Replica(server, "a", duration=2.5)
    async with replica.running():
        await asyncio.sleep(0.1)
        assert server.spec["leaseDurationSeconds"] == 3
        assert replica.elector.remaining() < 2.5


@virtual
async def test_other_peoples_labels_and_annotations_stay_on_the_lease() -> None:
    server = LeaseServer()
    first = Replica(server, "a")
    async with first.running():
        await asyncio.sleep(1)
        server.touch({"strategy": "OldestEmulationVersion"}, labels={"team": "x"}, annotations={"note": "keep"})
        await asyncio.sleep(30)
    assert server.lease
    assert server.lease["metadata"]["labels"] == {"team": "x"}
    assert server.lease["metadata"]["annotations"] == {"note": "keep"}
    assert server.spec["strategy"] == "OldestEmulationVersion"


@virtual
async def test_a_note_on_the_lease_reaches_the_leader_and_its_answer_is_written_at_once() -> None:
    server = LeaseServer()
    replica = Replica(server, "a")
    store = LeaseStore(server, namespace="ns", name="op")
    async with replica.running():
        await asyncio.sleep(1)
        await store.annotate({"ask": "dry-run"})
        await asyncio.sleep(L / 3)
        assert replica.notes[-1] == {"ask": "dry-run"}
        assert replica.is_working
        replica.elector.annotate("answer", "nothing")
        await asyncio.sleep(0.1)
        assert (await store.facts()).annotations == {"ask": "dry-run", "answer": "nothing"}
        replica.elector.annotate("ask", None)
        await asyncio.sleep(0.1)
        assert (await store.facts()).annotations == {"answer": "nothing"}
        assert len(replica.periods) == 1


@virtual
async def test_a_note_against_a_faster_writer_is_tried_again_and_not_for_ever() -> None:
    server = LeaseServer()
    store = LeaseStore(server, namespace="ns", name="op")
    async with Replica(server, "a").running() as task:
        await asyncio.sleep(0.1)
        task.cancel()
    server.write_fault = StaleError("ObjectChanged", "always")
    with pytest.raises(StaleError):
        await store.annotate({"ask": "x"})


@virtual
async def test_a_missing_right_is_shown_and_never_ends_the_election() -> None:
    server = LeaseServer()
    server.fault = refusal(403, LEASES + "/op")
    replica = Replica(server, "a")
    async with replica.running() as task:
        await asyncio.sleep(100)
        assert isinstance(replica.elector.problem, PermanentError)
        assert "leases.coordination.k8s.io" in str(replica.elector.problem)
        assert now() - replica.elector.last_attempt < L / 3
        server.fault = None
        await asyncio.sleep(L / 3)
        assert replica.is_working
        assert not task.done()
