"""What a removal of records promises: only what is ours, only of those that do not live, only on fresh looks."""

import asyncio

import pytest

from fsm.errors import StaleError, TransientError
from fsm.observation import NEVER
from tests.cloudflare_ops.api import CATCH_ALL, DOMAIN, FakeApi, first, host, session, written
from tests.cloudflare_ops.operator import PORTION, outcomes, running
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
        operator.unreadable = TransientError("KubernetesUnavailable", "no")
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
        operator.slowness = [5.0]
        with pytest.raises(TransientError, match="took too long"):
            await operator.remove(1)
        assert api.names() == [host(1)]
        await operator.remove(1)
        assert api.names() == []
        assert api.times[-1] - api.times[-2] < 2.2


@virtual
async def test_nor_does_a_look_that_somebody_else_takes_meanwhile_make_the_answer_any_younger() -> None:
    api = FakeApi()
    api.add(host(1))
    async with running(api) as operator:
        operator.slowness = [0.9]
        removal = asyncio.create_task(operator.remove(1))
        await asyncio.sleep(0.5)
        await operator.dns.look(now())
        api.latency = 1.8  # of the next look, before whose end nothing can be sent
        looking = asyncio.create_task(operator.dns.look(now()))
        await asyncio.sleep(1.0)
        api.latency = 0.1
        await asyncio.gather(removal, looking)
        assert api.names() == []
        assert operator.asked == [[session(1)], [session(1)]], "the first answer was more than two seconds old"


@virtual
async def test_when_many_are_removed_those_go_of_whom_it_is_known_in_time_and_the_others_with_the_next_write() -> None:
    api, many = FakeApi(), 2 * PORTION + 2
    for number in range(many):
        api.add(host(number))
    api.write({"ingress": [*(written(number) for number in range(many)), CATCH_ALL]})
    async with running(api) as operator:
        operator.alive = {session(0), session(many - 1)}
        await operator.dns.look(NEVER)
        for remove, rounds in ((operator.remove_rule, [0.7] * 4), (operator.remove, [0.4] * 4)):
            operator.asked.clear()
            operator.slowness = [*rounds]
            results = await outcomes(*(remove(number) for number in range(many)))
            assert [number for number, result in enumerate(results) if result] == [0, many - 1]
            assert isinstance(results[0], StaleError)
            assert isinstance(results[-1], StaleError)
            assert len(operator.asked) == 4, "three, the last of which is too late, and one for the next write"
            assert operator.asked[2] == operator.asked[3]
        assert api.names() == sorted([host(0), host(many - 1)])
        assert api.ingress == [written(0), written(many - 1), CATCH_ALL]


@virtual
async def test_those_who_only_want_something_added_do_not_wait_for_an_api_server_that_is_slow_to_list_pods() -> None:
    api = FakeApi()
    api.add(host(1))
    assert api.config
    api.config["ingress"].insert(0, written(1))
    async with running(api) as operator:
        operator.slowness = [2.5, 2.5]
        added, removed = await outcomes(operator.ensure(2), operator.remove(1))
        assert (added, type(removed)) == (None, TransientError)
        added, removed = await outcomes(operator.ensure_rule(2), operator.remove_rule(1))
        assert (added, type(removed)) == (None, TransientError)
