"""What the zone's writer promises when Cloudflare refuses, fails or says nothing."""

import asyncio
import math
from typing import Any

import pytest

from cloudflare_ops.ownership import ORIGINAL_COMMENT
from fsm.errors import ConflictError, PermanentError, SharedError, TransientError
from fsm.observation import NEVER, Status
from tests.cloudflare_ops.api import (
    DOMAIN,
    MARK,
    FakeApi,
    afterwards,
    failing,
    first,
    hangs,
    host,
    instead,
    lost,
    record,
    session,
    unreachable,
)
from tests.cloudflare_ops.operator import Operator, outcomes, running
from tests.k8s.virtual import now, virtual


def sight(operator: Operator, number: int) -> Status:
    return operator.dns.sight(session(number), (record(number),)).status


@virtual
async def test_one_bad_record_fails_alone_with_few_calls() -> None:
    async with running(FakeApi()) as operator:
        await operator.dns.look(now())
        operator.api.calls.clear()

        async def bad() -> None:
            with operator.census.running():
                name = f"bad{session(5)[3:]}.{DOMAIN}"
                await operator.dns.ensure((type(record(5))(name, record(5).content),), now())

        refused, *fine = await outcomes(bad(), *(operator.ensure(number) for number in range(199)))
        assert isinstance(refused, PermanentError)
        assert refused.reason == "RecordRejected"
        assert "1004: DNS Validation Error" in str(refused)
        assert fine == [None] * 199
        assert len(operator.api.calls) <= 2 * math.log2(200) + 2


@virtual
async def test_a_refusal_of_every_record_does_not_cost_a_call_each() -> None:
    api = FakeApi()
    api.script("POST batch", *[instead(failing(400, 1004))] * 500)
    async with running(api) as operator:
        results = await outcomes(*(operator.ensure(number) for number in range(200)))
        assert all(isinstance(result, PermanentError) for result in results)
        assert len(api.calls) < 40


@pytest.mark.parametrize("fault", [lost, afterwards(failing(502)), instead(failing(503)), unreachable], ids=repr)
def test_after_an_unknown_outcome_what_is_missing_is_sent(fault: Any) -> None:
    @virtual
    async def check() -> None:
        api = FakeApi()
        api.script("POST batch", fault)
        async with running(api) as operator:
            results = await outcomes(*(operator.ensure(number) for number in range(3)))
            if fault is unreachable:  # certainly not sent: the sessions' own backoff is enough
                assert all(isinstance(result, TransientError) for result in results)
                return
            assert results == [None] * 3
            assert api.names() == [host(number) for number in range(3)]

    check()


@virtual
async def test_a_name_in_doubt_is_unknown_until_it_was_seen_again() -> None:
    api = FakeApi()
    api.script("POST batch", lost)
    async with running(api) as operator:
        await operator.dns.look(now())
        api.script("GET dns_records", *[instead(failing(500))] * 3)
        (error,) = await outcomes(operator.ensure(1))
        assert isinstance(error, TransientError)
        assert sight(operator, 1) is Status.UNKNOWN
        assert sight(operator, 2) is Status.MISSING
        await operator.dns.look(NEVER)
        assert sight(operator, 1) is Status.PRESENT


@virtual
async def test_a_name_taken_meanwhile_is_adopted_or_told() -> None:
    def taken(api: FakeApi) -> None:
        api.add(host(1), comment=ORIGINAL_COMMENT)
        api.add(host(2), comment="mine")

    api = FakeApi()
    api.script("POST batch", first(taken))
    async with running(api) as operator:
        await operator.dns.look(now())
        adopted, conflict, made = await outcomes(*(operator.ensure(number) for number in (1, 2, 3)))
        assert (adopted, made) == (None, None)
        assert isinstance(conflict, ConflictError)
        assert (api.comment(1), api.comment(2), api.comment(3)) == (MARK, "mine", MARK)


@virtual
async def test_a_used_up_quota_fills_the_last_places_and_fails_the_other_posts_together() -> None:
    api = FakeApi()
    api.quota = 10
    async with running(api) as operator:
        results = await outcomes(*(operator.ensure(number) for number in range(64)))
        assert len(api.records) == 10
        assert results.count(None) == 10
        errors = [result for result in results if result is not None]
        assert {(type(error).__mro__[1], error.reason) for error in errors} == {(SharedError, "RecordQuotaExceeded")}
        assert len(api.calls) < 20
        assert operator.client.problems[0].reason == "RecordQuotaExceeded"
        calls = len(api.calls)
        assert [type(result) for result in await outcomes(operator.ensure(99))] == [type(errors[0])]
        assert len(api.calls) == calls, "an open breaker costs no call"


@virtual
async def test_a_full_zone_still_removes_and_then_goes_on_at_once() -> None:
    api = FakeApi()
    api.quota = 1
    async with running(api) as operator:
        await operator.ensure(1)
        with pytest.raises(SharedError):
            await operator.ensure(2)
        await operator.remove(1)
        assert operator.recovered
        await operator.ensure(2)
        assert api.names() == [host(2)]
        assert operator.client.problems == ()


@virtual
async def test_a_list_that_is_cut_short_changes_nothing() -> None:
    api = FakeApi()
    for number in range(5):
        api.add(host(number))
    async with running(api, page=2) as operator:
        await operator.dns.look(now())
        assert len(operator.dns.sessions()) == 5
        short = {"success": True, "result": [], "result_info": {"total_count": 5}}
        api.script("GET dns_records", *[instead(failing(200)._replace(body=short))] * 9)
        with pytest.raises(TransientError, match="ListCutShort"):
            await operator.dns.look(now())
        assert len(operator.dns.sessions()) == 5


@virtual
@pytest.mark.parametrize("nonsense", [{"id": "x", "type": "A"}, "record", None])
async def test_a_list_with_something_in_it_that_is_no_record_is_an_error_like_any_other(nonsense: object) -> None:
    api = FakeApi()
    whole = {"success": True, "result": [nonsense], "result_info": {"total_count": 1}}
    async with running(api) as operator:
        api.script("GET dns_records", *[instead(failing(200)._replace(body=whole))] * 9)
        with pytest.raises(TransientError, match="not complete"):
            await operator.dns.look(now())


@virtual
async def test_a_failed_list_reaches_everybody_who_waits_for_it_and_changes_nothing() -> None:
    api = FakeApi()
    api.add(host(1))
    async with running(api) as operator:
        await operator.dns.look(now())
        api.script("GET dns_records", *[instead(failing(500))] * 3)
        results = await outcomes(*(operator.dns.look(now()) for _ in range(5)))
        assert [type(result) for result in results] == [TransientError] * 5
        assert operator.dns.sessions() == {session(1)}
        assert api.kinds().count("GET dns_records") == 1 + 3


@virtual
async def test_a_domain_outside_the_zone_makes_nothing() -> None:
    api = FakeApi()
    api.zone_name = "ample.org"
    async with running(api) as operator:
        with pytest.raises(SharedError, match="DomainNotInZone"):
            await operator.ensure(1)
        assert "POST batch" not in api.kinds()


@virtual
async def test_a_hanging_api_holds_nobody_for_longer_than_its_time_limits() -> None:
    api = FakeApi()
    api.script("POST batch", *[hangs] * 20)
    async with running(api) as operator:
        began = now()
        with pytest.raises(TransientError):
            await operator.ensure(1)
        assert now() - began < 60


@virtual
async def test_a_record_that_comes_back_different_meets_the_backoff() -> None:
    api = FakeApi()
    async with running(api) as operator:
        fine = {"id": "1", "type": "CNAME", "name": host(1), "content": record(1).content, "proxied": False}
        body = {"success": True, "result": {"posts": [fine]}}
        api.script("POST batch", instead(failing(200)._replace(body=body)))
        with pytest.raises(TransientError, match="RecordNotAsWanted"):
            await operator.ensure(1)


@virtual
async def test_a_list_taken_early_and_delivered_late_does_not_hide_our_own_write() -> None:
    async def late(api: FakeApi, carry_out: Any) -> Any:
        reply = carry_out()
        await asyncio.sleep(3)
        return reply

    api = FakeApi()
    async with running(api) as operator:
        await operator.dns.look(now())
        api.script("GET dns_records", late)
        look = asyncio.create_task(operator.dns.look(now()))
        await asyncio.sleep(1)
        await operator.ensure(1)
        await look
        assert sight(operator, 1) is Status.PRESENT


@virtual
async def test_old_evidence_does_not_count_when_the_new_look_fails() -> None:
    api = FakeApi()
    api.add(host(1))
    async with running(api) as operator:
        await operator.dns.look(now())
        await asyncio.sleep(1)
        api.script("GET dns_records", *[instead(failing(500))] * 3)
        with pytest.raises(TransientError):
            await operator.ensure(1, since=now())
