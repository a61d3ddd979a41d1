"""What the zone's writer promises: few calls, nothing foreign touched, one bad record alone, every doubt looked up."""

import asyncio
import math
from typing import Any

import pytest

from cloudflare_ops.ownership import ORIGINAL_COMMENT
from fsm.errors import ConflictError, PermanentError, SharedError, StaleError, TransientError
from fsm.observation import NEVER, Status
from tests.cloudflare_ops.api import (
    DOMAIN,
    MARK,
    FakeApi,
    Operator,
    afterwards,
    failing,
    first,
    hangs,
    host,
    instead,
    lost,
    record,
    running,
    session,
    unreachable,
)
from tests.k8s.virtual import now, virtual


def sight(operator: Operator, number: int) -> Status:
    return operator.dns.sight(session(number), (record(number),)).status


async def outcomes(*wishes: Any) -> list[Any]:
    return list(await asyncio.gather(*wishes, return_exceptions=True))


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
            assert "delete or rename" in str(conflict)
            assert fine is None
            seen = operator.dns.sight(session(1), (record(1),))
            assert (seen.status, seen.problem, seen.ours) == (Status.FOREIGN, str(conflict), ())
            await operator.remove(1)
        assert before.items() <= api.records.items()

    check()


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
async def test_removals_ask_once_who_lives_and_spare_those() -> None:
    api = FakeApi()
    for number in range(3):
        api.add(host(number))
    api.add("foreign." + DOMAIN, comment="")
    async with running(api) as operator:
        operator.alive = {session(1)}
        results = await outcomes(*(operator.remove(number) for number in range(3)))
        assert [type(result) for result in results] == [type(None), StaleError, type(None)]
        assert operator.asked == [[session(0), session(1), session(2)]]
        assert api.names() == sorted([host(1), "foreign." + DOMAIN])


@virtual
async def test_nothing_is_removed_while_nobody_can_tell_who_lives() -> None:
    api = FakeApi()
    api.add(host(1))
    async with running(api) as operator:

        async def unreadable(sessions: Any) -> set[str]:
            raise TransientError("KubernetesUnavailable", "no")

        operator.dns._living = unreadable
        removal, other = await outcomes(operator.remove(1), operator.ensure(2))
        assert isinstance(removal, TransientError)
        assert other is None
        assert host(1) in api.names()


@virtual
async def test_a_renaming_removes_the_old_name_of_a_living_session() -> None:
    api = FakeApi()
    api.add(host(1))
    api.add(f"{session(1)}-old.{DOMAIN}")
    async with running(api) as operator:
        operator.alive = {session(1)}
        await operator.dns.remove(session(1), (host(1),))
        assert api.names() == [host(1)]
        assert operator.asked == []


@virtual
async def test_a_record_that_is_foreign_by_now_is_not_removed() -> None:
    api = FakeApi()
    key = api.add(host(1))
    async with running(api) as operator:
        await operator.dns.look(now())
        assert operator.dns.sessions() == {session(1)}
        await asyncio.sleep(5)
        api.records[key]["comment"] = "taken over"
        await operator.remove(1)
        assert api.names() == [host(1)]


@virtual
async def test_a_record_gone_under_a_removal_does_not_hold_up_the_others() -> None:
    api = FakeApi()
    keys = [api.add(host(number)) for number in range(3)]

    def gone(api: FakeApi) -> None:
        del api.records[keys[0]]

    api.script("POST batch", first(gone))
    async with running(api) as operator:
        assert await outcomes(*(operator.remove(number) for number in range(3))) == [None] * 3
        assert api.names() == []


@virtual
async def test_deletes_never_rest_on_an_old_look_however_long_the_living_take_to_tell() -> None:
    api = FakeApi()
    api.add(host(1))
    async with running(api) as operator:
        ask = operator.dns._living
        pauses = [5.0, 0.0]

        async def slow(sessions: Any) -> Any:
            await asyncio.sleep(pauses.pop(0))
            return await ask(sessions)

        operator.dns._living = slow
        await operator.remove(1)
        assert api.names() == []
        assert len(operator.asked) == 2
        assert api.times[-1] - api.times[-2] < 2.2


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
