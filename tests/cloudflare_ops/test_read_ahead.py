"""The tunnel's document is read beside the batch of a session that comes alone: a third of its calls' time less, no
call more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cloudflare_ops.tunnel import REUSE
from tests.cloudflare_ops.api import FakeApi, failing, instead, record, rule
from tests.cloudflare_ops.operator import Operator, outcomes, running
from tests.k8s.virtual import now, virtual


@asynccontextmanager
async def reading_ahead(api: FakeApi, **options: Any) -> AsyncIterator[Operator]:
    """An operator that has looked at the zone long ago."""
    async with running(api, is_ahead=True, **options) as operator:
        await operator.dns.look(now())
        await asyncio.sleep(10)
        api.calls.clear()
        api.times.clear()
        yield operator


async def journey(operator: Operator, number: int, since: float | None = None) -> None:
    since = now() if since is None else since
    with operator.census.running():
        await operator.dns.ensure((record(number),), since)
        await operator.tunnel.ensure((rule(number),), (), since)


@virtual
async def test_who_comes_alone_waits_for_two_calls_and_not_for_three() -> None:
    api = FakeApi()
    async with reading_ahead(api) as operator:
        await journey(operator, 1)
        assert api.kinds() == ["POST batch", "GET configurations", "PUT configurations"]
        batch, read, write = api.times
        assert read == batch
        assert write < batch + 2 * api.latency


@virtual
async def test_who_comes_with_others_is_not_read_ahead_for() -> None:
    api = FakeApi()
    async with reading_ahead(api) as operator:
        await asyncio.gather(journey(operator, 1), journey(operator, 2))
        assert api.kinds() == ["POST batch", "GET configurations", "PUT configurations"]
        batch, read, _ = api.times
        assert read >= batch + api.latency / 2


@virtual
async def test_what_was_read_just_now_is_not_read_again() -> None:
    api = FakeApi()
    async with reading_ahead(api) as operator:
        since = now()
        await operator.tunnel.look(since)
        await journey(operator, 1, since)
        assert api.kinds() == ["GET configurations", "POST batch", "PUT configurations"]


@virtual
async def test_what_a_new_leader_reads_first_is_as_old_as_its_request_and_not_as_the_zones() -> None:
    """Far away, where the call for the zone, which the first read waits for, takes longer than a look's half second."""
    api = FakeApi()
    api.latency = 0.3
    async with running(api, is_ahead=True) as operator:
        since = now()
        await asyncio.gather(operator.dns.look(since), operator.tunnel.look(since))
        await journey(operator, 1, since)
        looks = ["GET configurations", "GET dns_records", "GET zone"]
        assert sorted(api.kinds()[:3]) == looks
        assert api.kinds()[3:] == ["POST batch", "PUT configurations"]


@virtual
async def test_a_read_ahead_that_fails_is_nobodys_trouble() -> None:
    api = FakeApi()
    async with reading_ahead(api) as operator:
        api.script("GET configurations", instead(failing(500)))
        assert await outcomes(journey(operator, 1)) == [None]
        await journey(operator, 2)
        assert len(api.ingress) == 3


@virtual
async def test_nothing_is_read_ahead_when_writes_are_far_apart() -> None:
    api = FakeApi()
    async with reading_ahead(api, budget=400) as operator:
        assert operator.client.budget.pace() > REUSE
        await journey(operator, 1)
        batch, read, _ = api.times
        assert read >= batch + api.latency / 2
