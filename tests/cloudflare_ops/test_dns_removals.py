"""What a removal of records promises: only what is ours, only of those that do not live, only on fresh looks."""

import asyncio
from typing import Any

import pytest

from fsm.errors import StaleError, TransientError
from tests.cloudflare_ops.api import DOMAIN, FakeApi, first, host, session, written
from tests.cloudflare_ops.operator import outcomes, running
from tests.k8s.virtual import now, virtual


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
        with pytest.raises(TransientError, match="took too long"):
            await operator.remove(1)
        assert api.names() == [host(1)]
        await operator.remove(1)
        assert api.names() == []
        assert api.times[-1] - api.times[-2] < 2.2


@virtual
async def test_those_who_only_want_something_added_do_not_wait_for_an_api_server_that_is_slow_to_list_pods() -> None:
    api = FakeApi()
    api.add(host(1))
    assert api.config
    api.config["ingress"].insert(0, written(1))
    async with running(api) as operator:

        async def slow(_: Any) -> Any:
            await asyncio.sleep(2.5)
            return set()

        operator.dns._living = operator.tunnel._living = slow
        added, removed = await outcomes(operator.ensure(2), operator.remove(1))
        assert (added, type(removed)) == (None, TransientError)
        added, removed = await outcomes(operator.ensure_rule(2), operator.remove_rule(1))
        assert (added, type(removed)) == (None, TransientError)
