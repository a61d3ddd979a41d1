"""One leader at a time, whatever the API server and the clocks do; each trap of the library's elector is a test."""

import asyncio
import contextlib
import itertools
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from fsm.errors import PermanentError, StaleError
from k8s.client import JSON, Object, Query
from k8s.elector import Elector
from k8s.errors import of_failure
from k8s.lease_store import LeaseStore
from tests.k8s.fake import refusal
from tests.k8s.virtual import now, virtual

L = 15.0
LEASES = "/apis/coordination.k8s.io/v1/namespaces/ns/leases"
MICROTIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class LeaseServer:
    """One Lease as an API server keeps it, with faults."""

    def __init__(self) -> None:
        self.lease: Object | None = None
        self.version = 100
        self.fault: Exception | None = None
        self.write_fault: Exception | None = None
        self.is_hanging = False
        self.loses_replies = False
        self.latency = 0.0
        self.writes: list[tuple[float, str, Object]] = []
        self.limits: list[float] = []

    @property
    def spec(self) -> dict[str, Any]:
        assert self.lease
        return dict(self.lease["spec"])

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: Any = None,
        content_type: str | None = None,
        accept: str = JSON,
        timeout: float = 10.0,
    ) -> Object:
        self.limits.append(timeout)
        await asyncio.sleep(min(self.latency, timeout))
        if self.is_hanging or self.latency > timeout:
            await asyncio.sleep(timeout - min(self.latency, timeout))
            raise of_failure(TimeoutError())
        fault = self.fault or (self.write_fault if method != "GET" else None)
        if fault:
            raise fault
        reply = self._answer(method, path, body)
        if self.loses_replies and method != "GET":
            raise of_failure(TimeoutError())
        return reply

    def _answer(self, method: str, path: str, body: Object) -> Object:
        if method == "POST":
            if self.lease:
                raise refusal(409, path, method)
            return self._keep(method, body)
        if self.lease is None:
            raise refusal(404, path, method, body={"details": {"kind": "leases", "name": "op"}})
        if method == "PUT":
            if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
                raise refusal(409, path, method)
            assert isinstance(body["spec"]["leaseDurationSeconds"], int)
            assert body["spec"]["leaseDurationSeconds"] > 0
            return self._keep(method, body)
        return self.lease

    def _keep(self, method: str, body: Object) -> Object:
        self.version += 1
        self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        self.writes.append((now(), method, self.lease))
        return self.lease

    def touch(self, spec: Mapping[str, object] = {}, **metadata: object) -> None:
        """Somebody else writes."""
        assert self.lease
        changed = {**self.lease, "spec": {**self.spec, **spec}, "metadata": {**self.lease["metadata"], **metadata}}
        self._keep("", changed)

    def stream(self, path: str, *, query: Query = (), accept: str = JSON, idle: float) -> Any:
        raise NotImplementedError


class Replica:
    def __init__(self, server: LeaseServer, identity: str, *, duration: float = L, zone: timezone = UTC) -> None:
        self.suspended = 0.0  # seconds that loop time has not seen
        self.periods: list[tuple[float, float]] = []
        self.notes: list[Mapping[str, str]] = []
        self.stopping = 0.0  # how long the work takes to stop
        self.error: Exception | None = None
        self.finish = asyncio.Event()
        self.elector = Elector(
            LeaseStore(server, namespace="ns", name="op"),
            identity=identity,
            duration=duration,
            now=lambda: now() + self.suspended,
            wall=lambda: datetime(2026, 11, 23, tzinfo=UTC).astimezone(zone) + timedelta(seconds=int(now())),
            on_annotations=self.notes.append,
            jitter=lambda: 0.5,
        )

    @property
    def is_working(self) -> bool:
        return bool(self.periods) and self.periods[-1][1] == 0.0

    async def work(self) -> None:
        self.periods.append((now(), 0.0))
        try:
            await self.finish.wait()
            if self.error:
                raise self.error
        except asyncio.CancelledError:
            await asyncio.sleep(self.stopping)
            raise
        finally:
            self.periods[-1] = (self.periods[-1][0], now())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.elector.run(self.work))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait({task})
            assert not self.is_working


@virtual
async def test_the_first_replica_makes_the_lease_and_leads() -> None:
    server = LeaseServer()
    replica = Replica(server, "a")
    async with replica.running():
        await asyncio.sleep(1)
        assert replica.is_working
        assert replica.elector.is_leading
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
            await asyncio.sleep(L / 5)
            assert second.is_working
            assert server.spec["leaseTransitions"] == 1


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
        assert 20 < second.periods[0][0] - started < 20 + L / 3


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
