"""A Lease as an API server keeps it, and replicas that want it: the world of the election tests."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from k8s.client import JSON, Object, Query
from k8s.elector import Elector
from k8s.errors import of_failure
from k8s.lease_store import LeaseStore
from tests.k8s.fake import refusal
from tests.k8s.virtual import now

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
        self.reads: list[float] = []
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
        if method == "GET":
            self.reads.append(now())
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
