"""What the document's writer promises: one read and one write for many, nothing foreign changed, no lost doubt."""

import asyncio
from typing import Any

import pytest

from cloudflare_ops.ownership import render
from fsm.desired import TunnelRule
from fsm.errors import ConflictError, StaleError, TransientError
from fsm.observation import NEVER, Status
from tests.cloudflare_ops.api import CATCH_ALL, DOMAIN, SERVICE, FakeApi, first, host, record, rule, session, written
from tests.cloudflare_ops.operator import Operator, outcomes, running
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
            assert "Delete that rule" in str(conflict)
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
        with pytest.raises(TransientError, match="RecordUnknown"):
            await operator.ensure_rule(1, recorded=(rule(1, OLD),))
        assert api.ingress == [written(1, OLD), CATCH_ALL], "whose record stands at the name is not known yet"
        await operator.dns.look(NEVER)
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
async def test_where_another_owners_record_stands_the_rule_is_that_ones_whatever_the_pods_record_says() -> None:
    api = FakeApi()
    api.add(host(1), comment=render("another"))
    api.add(host(2), comment="somebody else's")
    api.write({"ingress": [written(1, OLD), written(2, OLD), CATCH_ALL]})
    async with running(api) as operator:
        await operator.dns.look(NEVER)
        await operator.tunnel.look(NEVER)
        assert operator.tunnel.sight(session(1), (rule(1),), (rule(1, OLD),)).ours == ()
        for recorded in ((), (rule(1, OLD),)):
            with pytest.raises(StaleError, match="RecordTaken"):
                await operator.ensure_rule(1, recorded)
        await outcomes(*(operator.remove_rule(number, recorded=(rule(number, OLD),)) for number in (1, 2)))
        assert api.ingress == [written(1, OLD), CATCH_ALL]


@virtual
@pytest.mark.parametrize("recorded", [(), (rule(1),)])
async def test_a_rule_is_not_removed_before_the_record_at_its_name_was_seen(recorded: tuple[TunnelRule, ...]) -> None:
    api = FakeApi()
    api.write({"ingress": [written(1), CATCH_ALL]})
    async with running(api) as operator:
        with pytest.raises(TransientError, match="RecordUnknown"):
            await operator.remove_rule(1, recorded)
        assert api.ingress == [written(1), CATCH_ALL]


@virtual
async def test_a_session_that_lives_again_while_the_document_is_read_keeps_its_rule() -> None:
    api = FakeApi()
    api.write({"ingress": [written(1), CATCH_ALL]})
    async with running(api) as operator:
        await operator.dns.look(NEVER)
        # The read may have waited for minutes, as after a 429: what was asked before it is no proof any more.
        api.script("GET configurations", first(lambda _: operator.alive.add(session(1))))
        [stale] = await outcomes(operator.remove_rule(1))
        assert isinstance(stale, StaleError)
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
