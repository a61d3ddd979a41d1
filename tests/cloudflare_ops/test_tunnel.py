"""What the document's writer promises: one read and one write for many, nothing foreign changed, no lost doubt."""

import asyncio
from typing import Any

import pytest

from cloudflare_ops import tunnel
from cloudflare_ops.ingress import edit
from fsm.errors import ConflictError, NotLeadingError, PermanentError, SharedError, StaleError, TransientError
from fsm.observation import NEVER, Status
from tests.cloudflare_ops.api import (
    CATCH_ALL,
    DOMAIN,
    SERVICE,
    FakeApi,
    Operator,
    afterwards,
    failing,
    first,
    host,
    instead,
    lost,
    record,
    rule,
    running,
    session,
    written,
)
from tests.cloudflare_ops.test_dns import outcomes
from tests.k8s.virtual import now, virtual

WILDCARD = {"hostname": f"*.{DOMAIN}", "service": "http://other:80", "originRequest": {"noTLSVerify": True}}
OLD = "http://old-router.svc:80"


def status(operator: Operator, number: int) -> Status:
    return operator.tunnel.sight(session(number), (rule(number),), ()).status


@virtual
async def test_a_burst_of_a_thousand_sessions_costs_one_read_and_one_write() -> None:
    async with running(FakeApi()) as operator:

        async def journey(number: int) -> None:
            with operator.census.running():
                await operator.dns.ensure((record(number),), now())
                await operator.tunnel.ensure((rule(number),), (), now())

        await asyncio.gather(*(journey(number) for number in range(1000)))
        kinds = operator.api.kinds()
        assert kinds == [
            "GET zone",
            "GET dns_records",
            *["POST batch"] * 5,
            "GET configurations",
            "PUT configurations",
        ]
        assert len(operator.api.ingress) == 1001


@virtual
async def test_foreign_rules_and_fields_survive_and_no_wildcard_shadows_ours() -> None:
    api = FakeApi()
    foreign = {"hostname": "a." + DOMAIN, "service": "http://a", "path": "/x", "unknown": {"deep": [1, None]}}
    api.write({"ingress": [foreign, WILDCARD, CATCH_ALL], "originRequest": {"connectTimeout": 3}, "new": None})
    async with running(api) as operator:
        await outcomes(operator.ensure_rule(2), operator.ensure_rule(1))
        assert api.config == {
            "ingress": [foreign, written(1), written(2), WILDCARD, CATCH_ALL],
            "originRequest": {"connectTimeout": 3},
            "new": None,
        }
        assert status(operator, 1) is Status.PRESENT


@virtual
async def test_a_tunnel_that_was_never_configured_gets_the_catch_all_too() -> None:
    api = FakeApi()
    api.config, api.version = None, 0
    async with running(api) as operator:
        await operator.ensure_rule(1)
        assert api.config == {"ingress": [written(1), CATCH_ALL]}


@virtual
async def test_nothing_is_written_when_nothing_changes() -> None:
    api = FakeApi()
    api.write({"ingress": [written(1), CATCH_ALL]})
    async with running(api) as operator:
        await operator.ensure_rule(1)
        await operator.remove_rule(2)
        assert "PUT configurations" not in api.kinds()


@virtual
async def test_a_rule_of_ours_behind_a_wildcard_is_moved() -> None:
    api = FakeApi()
    api.write({"ingress": [WILDCARD, written(1), CATCH_ALL]})
    async with running(api) as operator:
        await operator.tunnel.look(NEVER)
        assert status(operator, 1) is Status.MISSING
        await operator.ensure_rule(1)
        assert api.ingress == [written(1), WILDCARD, CATCH_ALL]


@pytest.mark.parametrize(
    "foreign",
    [
        [{**written(1), "service": "http://other"}],
        [{**written(1), "path": "/api"}],
        [{**written(1), "originRequest": {"noTLSVerify": True}}],
        [written(1), {**written(1), "path": "/api"}],
    ],
    ids=["another service", "a path", "options", "ours, and one with a path"],
)
def test_another_rule_of_the_name_is_a_conflict_and_stays(foreign: list[dict[str, Any]]) -> None:
    @virtual
    async def check() -> None:
        api = FakeApi()
        api.write({"ingress": [*foreign, CATCH_ALL]})
        async with running(api) as operator:
            conflict, fine = await outcomes(operator.ensure_rule(1), operator.ensure_rule(2))
            assert isinstance(conflict, ConflictError)
            assert host(1) in str(conflict)
            assert "delete that rule" in str(conflict)
            assert fine is None
            assert api.ingress == [*foreign, written(2), CATCH_ALL]
            assert status(operator, 1) is Status.FOREIGN

    check()


@virtual
async def test_a_rule_that_the_pods_record_holds_follows_a_changed_service() -> None:
    api = FakeApi()
    api.write({"ingress": [written(1, OLD), CATCH_ALL]})
    async with running(api) as operator:
        with pytest.raises(ConflictError):
            await operator.ensure_rule(1)
        await operator.ensure_rule(1, recorded=(rule(1, OLD),))
        assert api.ingress == [written(1), CATCH_ALL]


@virtual
async def test_rules_are_removed_when_the_record_the_pod_or_nobody_claims_the_name() -> None:
    api = FakeApi()
    api.add(host(1))
    api.add(host(3), comment="somebody else's")
    outside = {"hostname": f"{session(5)}.elsewhere.net", "service": SERVICE}
    options = {**written(6), "originRequest": {"noTLSVerify": True}}
    api.write({"ingress": [*(written(n) for n in (1, 2, 3)), written(4, OLD), outside, options, CATCH_ALL]})
    async with running(api) as operator:
        await operator.tunnel.look(NEVER)
        assert operator.tunnel.sessions() == set(), "whose record stands at the names is not known yet"
        await operator.dns.look(NEVER)
        assert operator.tunnel.sessions() == {session(1), session(2)}
        await outcomes(*(operator.remove_rule(number) for number in range(1, 7)))
        assert api.ingress == [written(3), written(4, OLD), outside, options, CATCH_ALL]
        await operator.remove_rule(4, recorded=(rule(4, OLD),))
        assert written(4, OLD) not in api.ingress


@virtual
async def test_a_rule_is_not_removed_before_the_record_at_its_name_was_seen() -> None:
    api = FakeApi()
    api.write({"ingress": [written(1), CATCH_ALL]})
    async with running(api) as operator:
        with pytest.raises(TransientError, match="RecordUnknown"):
            await operator.remove_rule(1)
        assert api.ingress == [written(1), CATCH_ALL]


@virtual
async def test_removals_spare_the_living_and_are_asked_once() -> None:
    api = FakeApi()
    api.write({"ingress": [written(1), written(2), CATCH_ALL]})
    async with running(api) as operator:
        await operator.dns.look(NEVER)
        operator.alive = {session(2)}
        gone, stale = await outcomes(operator.remove_rule(1), operator.remove_rule(2))
        assert gone is None
        assert isinstance(stale, StaleError)
        assert operator.asked == [[session(1), session(2)]]
        assert api.ingress == [written(2), CATCH_ALL]


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
        with pytest.raises(SharedError, match=r"TunnelLocallyManaged: .*migrate it"):
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
