"""What the document's writer promises when somebody else writes, and when Cloudflare refuses, fails or says nothing."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from cloudflare_ops import tunnel
from cloudflare_ops.ingress import edit
from cloudflare_ops.transport import Reply
from fsm.errors import NotLeadingError, PermanentError, SharedError, TransientError
from fsm.observation import NEVER, Status
from tests.cloudflare_ops.api import (
    CATCH_ALL,
    DOMAIN,
    FakeApi,
    afterwards,
    failing,
    first,
    host,
    instead,
    lost,
    rule,
    session,
    written,
)
from tests.cloudflare_ops.operator import Operator, outcomes, running
from tests.k8s.virtual import now, virtual


def status(operator: Operator, number: int) -> Status:
    return operator.tunnel.sight(session(number), (rule(number),), ()).status


@virtual
async def test_a_foreign_write_between_read_and_write_is_reported_and_merged_again() -> None:
    api = FakeApi()
    theirs = {"ingress": [{"hostname": "new." + DOMAIN, "service": "http://new"}, CATCH_ALL]}
    api.script("PUT configurations", first(lambda api: api.write(theirs)))
    async with running(api) as operator:
        await operator.ensure_rule(1)
        assert operator.overwrites == [(1, 3)]
        assert api.kinds()[-1] == "GET configurations"
        assert written(1) in api.ingress


@virtual
async def test_an_overwritten_edit_is_told_although_the_term_ends_during_the_write() -> None:
    api = FakeApi()
    theirs = {"ingress": [{"hostname": "new." + DOMAIN, "service": "http://new"}, CATCH_ALL]}
    api.script("PUT configurations", first(lambda api: api.write(theirs)))
    async with running(api) as operator:
        wish = asyncio.create_task(operator.ensure_rule(1))
        while "PUT configurations" not in api.kinds():
            await asyncio.sleep(0.01)
        assert operator.overwrites == []
    assert operator.overwrites == [(1, 3)]
    assert api.kinds().count("PUT configurations") == 1
    with pytest.raises(NotLeadingError):
        await wish


@virtual
async def test_a_foreign_reset_right_after_our_write_is_seen_as_drift_and_mended() -> None:
    api = FakeApi()
    async with running(api) as operator:
        await operator.ensure_rule(1)
        api.write({"ingress": [CATCH_ALL]})
        assert status(operator, 1) is Status.PRESENT
        await operator.tunnel.look(now())
        assert status(operator, 1) is Status.MISSING
        await operator.ensure_rule(1)
        assert api.ingress == [written(1), CATCH_ALL]


@virtual
async def test_a_rule_that_the_reply_does_not_show_is_told_and_meets_a_backoff() -> None:
    def drop_one(api: FakeApi, carry_out: Callable[[], Reply]) -> Reply:
        carry_out()
        api.config = {"ingress": [rule for rule in api.ingress if rule.get("hostname") != host(1)]}
        return Reply(200, {}, {"success": True, "result": {"version": api.version, "config": api.config}})

    api = FakeApi()
    api.script("PUT configurations", drop_one)
    async with running(api) as operator:
        errors = await outcomes(operator.ensure_rule(1), operator.ensure_rule(2))
        assert [error and error.reason for error in errors] == ["RuleNotAsWanted", None]
        assert api.kinds().count("PUT configurations") == 1
        await operator.ensure_rule(1)


@virtual
async def test_a_rule_that_the_reply_still_shows_was_not_removed() -> None:
    def keep(api: FakeApi, carry_out: Callable[[], Reply]) -> Reply:
        return Reply(200, {}, {"success": True, "result": {"version": api.version + 1, "config": api.config}})

    api = FakeApi()
    async with running(api) as operator:
        await outcomes(operator.ensure_rule(1), operator.ensure_rule(2))
        await operator.dns.look(now())
        api.script("PUT configurations", keep)
        (error,) = await outcomes(operator.remove_rule(1))
        assert error.reason == "RuleNotAsWanted"
        await operator.remove_rule(1)
        assert written(1) not in api.ingress


@pytest.mark.parametrize("fault", [lost, afterwards(failing(502)), instead(failing(503))], ids=["lost", "502", "503"])
def test_after_an_unknown_outcome_the_document_is_read_and_merged_again(fault: Any) -> None:
    @virtual
    async def check() -> None:
        api = FakeApi()
        api.script("PUT configurations", fault)
        async with running(api) as operator:
            assert await outcomes(operator.ensure_rule(1), operator.ensure_rule(2)) == [None, None]
            assert api.ingress == [written(1), written(2), CATCH_ALL]
            assert operator.overwrites == []

    check()


@virtual
async def test_after_a_write_that_nobody_saw_the_end_of_nothing_is_known() -> None:
    api = FakeApi()
    api.write({"ingress": [written(1), CATCH_ALL]})
    async with running(api) as operator:
        await operator.tunnel.look(NEVER)
        api.script("PUT configurations", lost)
        api.script("GET configurations", first(lambda api: None), *[instead(failing(500))] * 3)
        with pytest.raises(TransientError):
            await operator.ensure_rule(2)
        assert status(operator, 1) is Status.UNKNOWN
        await operator.tunnel.look(NEVER)
        assert (status(operator, 1), status(operator, 2)) == (Status.PRESENT, Status.PRESENT)


@virtual
async def test_a_refused_document_is_bisected_until_the_bad_wish_stands_alone() -> None:
    api = FakeApi()

    def refuses_five(api: FakeApi, carry_out: Any) -> Any:
        body = api.calls[-1][1]
        return failing(400, 1056, "bad rule") if written(5) in body["config"]["ingress"] else carry_out()

    api.script("PUT configurations", *[refuses_five] * 50)
    api.write({"ingress": [written(99), CATCH_ALL]})
    async with running(api) as operator:
        await operator.dns.look(NEVER)
        results = await outcomes(operator.remove_rule(99), *(operator.ensure_rule(number) for number in range(16)))
        failed = [result for result in results if result is not None]
        assert [(type(error).__mro__[1], error.reason) for error in failed] == [(PermanentError, "RuleRejected")]
        assert len(api.ingress) == 16
        assert api.kinds().count("PUT configurations") <= 12


@virtual
async def test_a_document_that_is_bad_by_itself_does_not_cost_two_calls_for_each_session() -> None:
    api = FakeApi()
    api.script("PUT configurations", *[instead(failing(400, 1056))] * 500)
    async with running(api) as operator:
        results = await outcomes(*(operator.ensure_rule(number) for number in range(200)))
        assert all(isinstance(result, PermanentError) for result in results)
        assert len(api.calls) < 60


@virtual
async def test_a_rule_that_cloudflared_would_not_take_is_refused_before_anything_is_sent() -> None:
    api = FakeApi()
    async with running(api) as operator:
        for service in ("http://router/", "router:80", "http://router:80/path", ""):
            with pytest.raises(PermanentError, match="RuleRejected"):
                await operator.tunnel.ensure((rule(1, service),), (), NEVER)
        assert api.calls == []


@pytest.mark.parametrize(("slept", "reads"), [(1.5, 1), (2.5, 2)])
def test_a_write_never_rests_on_a_read_older_than_two_seconds(
    slept: float, reads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    @virtual
    async def check() -> None:
        api = FakeApi()
        async with running(api) as operator:
            pauses = [slept]

            def edit_after_a_pause(*arguments: Any, **options: Any) -> Any:
                if pauses:
                    operator.suspend(pauses.pop())
                return edit(*arguments, **options)

            monkeypatch.setattr(tunnel, "edit", edit_after_a_pause)
            await operator.ensure_rule(1)
            assert api.kinds() == ["GET zone", *["GET configurations"] * reads, "PUT configurations"]

    check()


@virtual
async def test_a_reply_that_lay_in_the_socket_while_the_process_slept_is_no_evidence() -> None:
    api = FakeApi()
    async with running(api) as operator:
        api.script("GET configurations", first(lambda api: operator.suspend(11)))
        await operator.ensure_rule(1)
        assert api.kinds() == ["GET zone", *["GET configurations"] * 2, "PUT configurations"]


@virtual
async def test_a_lease_shorter_than_a_write_sends_none() -> None:
    api = FakeApi()
    async with running(api) as operator:
        operator.lease = 9.9
        with pytest.raises(NotLeadingError):
            await operator.ensure_rule(1)
        assert "PUT configurations" not in api.kinds()


@virtual
async def test_a_locally_managed_tunnel_is_told_with_remedy_and_left_alone() -> None:
    api = FakeApi()
    api.source = "local"
    async with running(api) as operator:
        with pytest.raises(SharedError, match=r"TunnelLocallyManaged: .*Migrate it"):
            await operator.ensure_rule(1)
        calls = len(api.calls)
        with pytest.raises(SharedError, match="TunnelLocallyManaged"):
            await operator.ensure_rule(2)
        assert len(api.calls) == calls
        api.source = "cloudflare"
        await asyncio.sleep(10)
        assert operator.recovered == 1
        await operator.ensure_rule(2)


@virtual
async def test_a_deleted_tunnel_is_trouble_of_everybody() -> None:
    api = FakeApi()
    api.script("GET configurations", instead(failing(404, 1055)))
    async with running(api) as operator:
        with pytest.raises(SharedError, match="TunnelNotFound"):
            await operator.tunnel.look(NEVER)


@pytest.mark.parametrize("config", ["text", {"ingress": "text"}, {"ingress": [1]}, [], 7], ids=repr)
def test_a_document_that_cannot_be_read_is_an_error_and_not_an_empty_one(config: Any) -> None:
    @virtual
    async def check() -> None:
        api = FakeApi()
        api.config = config
        async with running(api) as operator:
            with pytest.raises(TransientError):
                await operator.ensure_rule(1)
            assert "PUT configurations" not in api.kinds()

    check()


@virtual
async def test_a_document_read_early_and_delivered_late_does_not_hide_our_own_write() -> None:
    async def late(api: FakeApi, carry_out: Any) -> Any:
        reply = carry_out()
        await asyncio.sleep(3)
        return reply

    api = FakeApi()
    async with running(api) as operator:
        await operator.client.zone()
        api.script("GET configurations", late)
        look = asyncio.create_task(operator.tunnel.look(now()))
        await asyncio.sleep(1)
        await operator.ensure_rule(1)
        await look
        assert status(operator, 1) is Status.PRESENT


@virtual
async def test_a_read_does_not_use_up_the_budget_that_its_write_needs() -> None:
    api = FakeApi()
    async with running(api, budget=20) as operator:
        await operator.client.zone()
        for _ in range(9):
            await operator.tunnel.look(now())
            await asyncio.sleep(31)
        await asyncio.sleep(22)
        for _ in range(12):
            await operator.tunnel.look(now())
        before = len(api.calls)
        await operator.ensure_rule(1)
        assert api.kinds()[before:] == ["GET configurations", "PUT configurations"]


@virtual
async def test_a_refused_document_lets_the_removals_go_first() -> None:
    api = FakeApi()
    api.write({"ingress": [written(9), CATCH_ALL]})
    api.script("PUT configurations", instead(failing(400, 1056)))
    async with running(api) as operator:
        await operator.dns.look(NEVER)
        assert await outcomes(operator.ensure_rule(1), operator.remove_rule(9)) == [None, None]
        puts = [body["config"]["ingress"] for kind, body in api.calls if kind == "PUT configurations"]
        assert puts[1:] == [[CATCH_ALL], [written(1), CATCH_ALL]]


@virtual
async def test_what_a_slow_reply_showed_is_read_again_before_the_next_write() -> None:
    api = FakeApi()
    async with running(api) as operator:
        await operator.client.zone()
        api.latency = 1.5
        first = asyncio.create_task(operator.ensure_rule(1))
        await asyncio.sleep(0.5)
        await operator.ensure_rule(2)
        await first
        assert api.kinds()[1:] == ["GET configurations", "PUT configurations"] * 2
