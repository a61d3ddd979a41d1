"""One replica's Cloudflare half on any transport, for one test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cloudflare_ops.budget import SIZE, Budget
from cloudflare_ops.client import TIME_LIMIT, Client
from cloudflare_ops.coalesce import Census
from cloudflare_ops.dns import Dns
from cloudflare_ops.foresight import Foresight
from cloudflare_ops.transport import Transport
from cloudflare_ops.tunnel import Tunnel
from controller.living import SharedLiving
from fsm.desired import TunnelRule
from fsm.errors import SessionError
from tests.cloudflare_ops.api import PROFILE, record, rule, session
from tests.k8s.virtual import now

PORTION = 5  # sessions of which is read at once whether they live


async def outcomes(*wishes: Any) -> list[Any]:
    """What became of each: None or its error."""
    return list(await asyncio.gather(*wishes, return_exceptions=True))


@dataclass
class Operator:
    """One replica's Cloudflare half, on a `FakeApi`."""

    api: Any  # whatever it was made with, mostly a `FakeApi`
    client: Client
    dns: Dns
    tunnel: Tunnel
    census: Census
    alive: set[str] = field(default_factory=set)
    asked: list[list[str]] = field(default_factory=list)  # of which sessions it was read whether they live
    slowness: list[float] = field(default_factory=list)  # seconds, of each such read to come; then 0
    unreadable: SessionError | None = None
    overwrites: list[tuple[int, int]] = field(default_factory=list)
    recovered: int = 0
    lease: float = 15.0
    suspend: Callable[[float], None] = lambda seconds: None  # the clock jumps as if the process had been suspended

    async def ensure(self, number: int, since: float | None = None) -> None:
        """What a session's worker does for its record."""
        with self.census.running():
            await self.dns.ensure((record(number),), now() if since is None else since)

    async def ensure_rule(self, number: int, recorded: tuple[TunnelRule, ...] = ()) -> None:
        with self.census.running():
            await self.tunnel.ensure((rule(number),), recorded, now())

    async def remove(self, number: int) -> None:
        with self.census.running():
            await self.dns.remove(session(number), ())

    async def remove_rule(self, number: int, recorded: tuple[TunnelRule, ...] = ()) -> None:
        with self.census.running():
            await self.tunnel.remove(session(number), (), recorded)


def make(transport: Transport, *, zone: str = "z" * 32, tunnel: str = "tunnel", **options: Any) -> Operator:
    """`options` are those of the client and of `Dns`; `is_ahead` lets the document be read beside a lone post."""
    size, limit = options.pop("budget", SIZE), options.pop("limit", TIME_LIMIT)
    slept = [0.0]

    def suspend(seconds: float) -> None:
        slept[0] += seconds

    async def read(sessions: Collection[str]) -> set[str]:
        operator.asked.append(list(sessions))
        await asyncio.sleep(operator.slowness.pop(0) if operator.slowness else 0)
        if operator.unreadable:
            raise operator.unreadable
        return operator.alive & set(sessions)

    def living() -> SharedLiving:
        return SharedLiving(read, lambda *_: None, clock, portion=PORTION)

    def recovered() -> None:
        operator.recovered += 1

    def clock() -> float:
        return now() + slept[0]

    census = Census()
    client = Client(
        transport,
        zone=zone,
        tunnel=tunnel,
        now=clock,
        remaining=lambda: operator.lease,
        on_recovered=recovered,
        budget=Budget(clock, size=size),
        limit=limit,
    )
    foresight = Foresight()
    told = foresight if options.pop("is_ahead", False) else Foresight()
    dns = Dns(client, PROFILE, living=living(), foresight=told, census=census, now=clock, **options)
    document = Tunnel(
        client,
        PROFILE,
        claim=dns.claim,
        living=living(),
        foresight=foresight,
        census=census,
        now=clock,
        on_overwrite=lambda read, wrote: operator.overwrites.append((read, wrote)),
    )
    operator = Operator(transport, client, dns, document, census, suspend=suspend)
    return operator


@asynccontextmanager
async def running(transport: Transport, **options: Any) -> AsyncIterator[Operator]:
    """An operator whose writers and probes run until the end of the block."""
    operator = make(transport, **options)
    works = (operator.client.run, operator.dns.run, operator.tunnel.run, operator.tunnel.read_ahead)
    tasks = [asyncio.create_task(work()) for work in works]
    try:
        yield operator
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
