"""What the zone's writer promises: few calls, nothing foreign touched, one bad record alone, every doubt looked up."""

import asyncio
from typing import Any

import pytest

from cloudflare_ops.ownership import ORIGINAL_COMMENT
from fsm.errors import ConflictError
from fsm.observation import Status
from tests.cloudflare_ops.api import MARK, FakeApi, host, record, session
from tests.cloudflare_ops.operator import Operator, outcomes, running
from tests.k8s.virtual import now, virtual


def sight(operator: Operator, number: int) -> Status:
    return operator.dns.sight(session(number), (record(number),)).status


@virtual
async def test_a_lone_session_waits_for_nothing() -> None:
    async with running(FakeApi()) as operator:
        began = now()
        await operator.ensure(1)
        assert now() - began == pytest.approx(3 * operator.api.latency)
        assert operator.api.kinds() == ["GET zone", "GET dns_records", "POST batch"]
        assert operator.api.calls[-1][1]["posts"] == [
            {"name": host(1), "content": record(1).content, "type": "CNAME", "proxied": True, "ttl": 1, "comment": MARK}
        ]
        assert sight(operator, 1) is Status.PRESENT


@virtual
async def test_a_burst_of_a_thousand_sessions_costs_a_list_and_five_batches() -> None:
    async with running(FakeApi()) as operator:

        async def journey(number: int) -> None:
            with operator.census.running():
                await operator.dns.ensure((record(number),), now())
                await operator.tunnel.ensure((), (), now())

        await asyncio.gather(*(journey(number) for number in range(1000)))
        assert operator.api.kinds() == [
            "GET zone",
            "GET dns_records",
            *["POST batch"] * 5,
            "GET configurations",
        ]
        assert len(operator.api.records) == 1000


@virtual
async def test_no_wish_waits_longer_than_two_seconds_for_a_busy_session() -> None:
    async with running(FakeApi()) as operator:

        async def busy() -> None:
            with operator.census.running():
                await asyncio.sleep(60)

        other = asyncio.create_task(busy())
        await asyncio.sleep(0)
        began = now()
        await operator.ensure(1)
        assert 2.0 <= now() - began < 3.0
        other.cancel()


@virtual
async def test_what_is_there_already_needs_no_write() -> None:
    api = FakeApi()
    api.add(host(1))
    async with running(api) as operator:
        await operator.ensure(1)
        assert "POST batch" not in api.kinds()


@virtual
async def test_a_name_of_an_older_look_that_was_free_is_posted_without_another_look() -> None:
    async with running(FakeApi()) as operator:
        await operator.dns.look(now())
        await asyncio.sleep(50)
        await operator.ensure(1)
        assert operator.api.kinds().count("GET dns_records") == 1


@virtual
async def test_evidence_from_before_the_pod_was_seen_is_looked_at_again() -> None:
    api = FakeApi()
    key = api.add(host(1))
    async with running(api) as operator:
        await operator.dns.look(now())
        await asyncio.sleep(50)
        del api.records[key]
        await operator.ensure(1, since=now())
        assert api.names() == [host(1)]


@pytest.mark.parametrize(
    ("existing", "patch"),
    [
        ({"comment": ORIGINAL_COMMENT}, {"comment": MARK}),
        ({"comment": "managed by opencode-cloudflare-operator; owner=old-a;"}, {"comment": MARK}),
        ({"proxied": False}, {"proxied": True}),
    ],
    ids=["the original operator's", "a previous owner's", "unproxied by hand"],
)
def test_a_record_that_is_ours_but_different_is_patched_on_a_fresh_look(
    existing: dict[str, Any], patch: dict[str, Any]
) -> None:
    @virtual
    async def check() -> None:
        api = FakeApi()
        key = api.add(host(1), **existing)
        async with running(api) as operator:
            await operator.dns.look(now())
            assert sight(operator, 1) is Status.MISSING
            await asyncio.sleep(50)
            await operator.ensure(1)
            assert api.kinds()[-2:] == ["GET dns_records", "POST batch"]
            assert api.calls[-1][1] == {"patches": [{"id": key, **patch}]}
            assert sight(operator, 1) is Status.PRESENT

    check()


@pytest.mark.parametrize(
    "foreign",
    [
        {"type": "A", "content": "192.0.2.1", "comment": ""},
        {"type": "TXT", "content": "v=1", "comment": MARK},
        {"comment": "managed by opencode-cloudflare-operator; owner=team-b;"},
        {"comment": f"see: {MARK}"},
        {"content": "another.cfargotunnel.com"},
        {"comment": ORIGINAL_COMMENT, "proxied": False},
    ],
    ids=["an A record", "a TXT record", "another owner", "a mere mention", "another tunnel", "original, unproxied"],
)
def test_a_foreign_record_at_the_name_is_a_conflict_and_stays(foreign: dict[str, Any]) -> None:
    @virtual
    async def check() -> None:
        api = FakeApi()
        api.add(host(1), **foreign)
        before = dict(api.records)
        async with running(api) as operator:
            conflict, fine = await outcomes(operator.ensure(1), operator.ensure(2))
            assert isinstance(conflict, ConflictError)
            assert host(1) in str(conflict)
            assert "Delete or rename" in str(conflict)
            assert fine is None
            seen = operator.dns.sight(session(1), (record(1),))
            assert (seen.status, seen.problem, seen.ours) == (Status.FOREIGN, str(conflict), ())
            await operator.remove(1)
        assert before.items() <= api.records.items()

    check()
