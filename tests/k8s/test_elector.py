"""One leader at a time, whatever the API server and the clocks do; each trap of the library's elector is a test."""

import asyncio
import contextlib
import itertools

import pytest

from k8s.elector import RELEASE
from k8s.errors import of_failure
from tests.k8s.election import LEASES, L, LeaseServer, Replica
from tests.k8s.fake import refusal
from tests.k8s.virtual import now, virtual


@virtual
async def test_the_first_replica_makes_the_lease_and_leads() -> None:
    server = LeaseServer()
    replica = Replica(server, "a")
    async with replica.running():
        await asyncio.sleep(1)
        assert replica.is_working
        assert server.spec["holderIdentity"] == "a"
        assert server.spec["leaseDurationSeconds"] == 15
        assert server.spec["leaseTransitions"] == 0
        assert server.writes[0][1] == "POST"


@virtual
async def test_only_one_of_two_leads_and_the_lease_is_renewed() -> None:
    server = LeaseServer()
    first, second = Replica(server, "a"), Replica(server, "b")
    async with first.running(), second.running():
        await asyncio.sleep(300)
        assert len(first.periods) + len(second.periods) == 1
        renewals = [at for at, _, _ in server.writes]
        assert all(after - before < L / 3 for before, after in itertools.pairwise(renewals))


@virtual
async def test_who_waits_looks_often_enough_to_take_over_soon() -> None:
    server = LeaseServer()
    async with Replica(server, "a").running(), Replica(server, "b").running():
        await asyncio.sleep(300)
        # The leader knows what it wrote, so after the start these are the looks of the one that waits.
        looks = server.reads[2:]
        assert len(looks) > 300
        assert all(after - before <= L / 24 for before, after in itertools.pairwise(looks))


@virtual
async def test_cancelled_it_lets_the_work_stop_then_releases_and_the_other_takes_over_at_once() -> None:
    server = LeaseServer()
    first, second = Replica(server, "a"), Replica(server, "b")
    first.stopping = 4.0
    async with first.running() as task:
        await asyncio.sleep(1)
        async with second.running():
            await asyncio.sleep(30)
            asked = now()
            task.cancel()
            await asyncio.wait({task})
            assert first.periods[-1][1] == asked + 4.0
            assert first.elector.remaining() == 0
            assert server.spec["holderIdentity"] == ""
            assert server.spec["leaseDurationSeconds"] == 1
            assert not second.periods
            await asyncio.sleep(L / 24)
            assert second.is_working
            assert server.spec["leaseTransitions"] == 1


@virtual
async def test_an_api_server_that_hangs_does_not_keep_one_with_a_long_lease_from_its_end() -> None:
    server = LeaseServer()
    replica = Replica(server, "a", duration=120.0)
    async with replica.running() as task:
        await asyncio.sleep(1)
        assert replica.is_working
        server.is_hanging = True
        asked = now()
        task.cancel()
        await asyncio.wait({task})
        assert now() - asked <= 2 * RELEASE


@virtual
async def test_cancelled_twice_it_does_not_release_what_the_work_may_still_use() -> None:
    server = LeaseServer()
    replica = Replica(server, "a")
    replica.stopping = 60.0
    task = asyncio.create_task(replica.elector.run(replica.work))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait({task})
    assert replica.is_working
    assert server.spec["holderIdentity"] == "a"
    assert replica.elector.remaining() == 0
    await asyncio.sleep(60)


@virtual
@pytest.mark.parametrize("fault", ["refused", "hanging", "500", "lost replies"])
async def test_a_leader_that_cannot_renew_stops_before_another_can_take_over(fault: str) -> None:
    server = LeaseServer()
    first = Replica(server, "a")
    async with first.running():
        await asyncio.sleep(20)
        server.is_hanging = fault == "hanging"
        server.fault = {"refused": of_failure(OSError()), "500": refusal(500, LEASES)}.get(fault)
        began = now()
        if fault == "lost replies":
            server.loses_replies = True
        last = server.writes[-1][0]
        await asyncio.sleep(20)
        assert first.periods[0][1] - last < L - 1
        assert first.elector.remaining() == 0
        assert first.elector.problem
        assert not first.is_working or fault == "lost replies"
        server.is_hanging, server.fault, server.loses_replies = False, None, False
        await asyncio.sleep(20)
        assert first.is_working
        assert first.elector.problem is None
        assert server.spec["leaseTransitions"] == 0
        assert now() - began < 60


@virtual
async def test_the_other_waits_for_the_whole_duration_of_a_silent_holder() -> None:
    server = LeaseServer()
    async with Replica(server, "b").running() as task:
        await asyncio.sleep(0.1)
        task.cancel()
    # A holder that died, whose clock was a year ahead.
    server.touch({"holderIdentity": "dead", "renewTime": "2027-11-23T00:00:00.000000Z", "leaseDurationSeconds": 20})
    second = Replica(server, "c")
    started = now()
    async with second.running():
        await asyncio.sleep(60)
        assert 20 < second.periods[0][0] - started < 20 + L / 20


@virtual
async def test_a_holder_that_shows_signs_of_life_is_left_alone_whatever_its_clock_says() -> None:
    server = LeaseServer()
    async with Replica(server, "x").running() as task:
        await asyncio.sleep(0.1)
        task.cancel()
    second = Replica(server, "b")
    async with second.running():
        for number in range(30):
            server.touch(
                {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": f"1999-01-01T00:00:{number}Z"}
            )
            await asyncio.sleep(10)
        assert not second.periods


@virtual
async def test_a_lease_taken_by_another_ends_the_work_at_once_and_is_not_released() -> None:
    server = LeaseServer()
    replica = Replica(server, "a")
    async with replica.running():
        await asyncio.sleep(1)
        server.touch({"holderIdentity": "thief"})
        await asyncio.sleep(L / 3)
        assert not replica.is_working
    assert server.spec["holderIdentity"] == "thief"


@virtual
async def test_a_deleted_lease_is_made_again_without_an_interruption() -> None:
    server = LeaseServer()
    replica = Replica(server, "a")
    async with replica.running():
        await asyncio.sleep(5)
        server.lease = None
        await asyncio.sleep(30)
        assert replica.is_working
        assert len(replica.periods) == 1
        assert server.spec["holderIdentity"] == "a"


@virtual
async def test_work_that_fails_ends_the_leadership_and_is_heard() -> None:
    server = LeaseServer()
    replica = Replica(server, "a")
    replica.error = ValueError("broken")
    async with replica.running() as task:
        await asyncio.sleep(1)
        replica.finish.set()
        with pytest.raises(ValueError, match="broken"):
            await task
    assert server.spec["holderIdentity"] == ""


@virtual
async def test_work_that_is_done_ends_the_run() -> None:
    server = LeaseServer()
    replica = Replica(server, "a")
    replica.finish.set()
    async with replica.running() as task:
        await task
    assert server.spec["holderIdentity"] == ""


@virtual
async def test_cancelled_while_it_acquires_it_leaves_no_lease_behind() -> None:
    server = LeaseServer()
    replica = Replica(server, "a")
    server.loses_replies = True
    task = asyncio.create_task(replica.elector.run(replica.work))
    await asyncio.sleep(0.5)
    server.loses_replies = False
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert server.spec["holderIdentity"] == ""


@virtual
async def test_a_lease_that_nobody_can_read_ends_no_process() -> None:
    server = LeaseServer()
    server.fault = KeyError("spec")
    replica = Replica(server, "a")
    async with replica.running():
        await asyncio.sleep(1)
        assert not replica.is_working
        assert "InternalError: KeyError" in str(replica.elector.problem)
        server.fault = None
        await asyncio.sleep(L)
        assert replica.is_working
        assert replica.elector.problem is None
