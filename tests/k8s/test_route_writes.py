"""What is applied and removed, and what nobody touches."""

import asyncio
from typing import Any

import pytest

from fsm.errors import ConflictError, NotLeadingError, SharedError, StaleError, TransientError
from fsm.observation import NEVER, Status
from fsm.session import MANAGER, OWNER_LABEL
from k8s.client import Object
from k8s.reflector import LONGEST
from k8s.routes import CONCURRENT_WRITES, PROOF
from tests.k8s.fake import SILENCE, Asked, listed, refusal
from tests.k8s.routing import (
    APP,
    PATH,
    SIGN_IN,
    WANTED,
    A,
    World,
    as_applied,
    conflicting,
    gone,
    live,
    original,
    theirs,
)
from tests.k8s.virtual import now, virtual


@virtual
async def test_missing_routes_are_applied_without_force_and_known_at_once() -> None:
    world = World()
    async with world.watching():
        world.kube.answers.extend([as_applied(101), as_applied(102)])
        since = now()
        await world.routes.ensure(WANTED, since)
        seen = world.routes.sight(A, WANTED)
        assert (seen.status, seen.began) == (Status.PRESENT, since)
        assert world.told == [A, A]
        await world.routes.ensure(WANTED, since)
    first, second = world.kube.asked
    assert (first.method, first.path) == ("PATCH", f"{PATH}/{SIGN_IN.name}")
    assert first.content_type == "application/apply-patch+yaml"
    assert first.query == {"fieldManager": f"{MANAGER}.me"}
    assert first.body == SIGN_IN.manifest
    assert second.body == APP.manifest


@virtual
async def test_evidence_that_is_too_old_is_renewed_by_applying_again() -> None:
    world = World()
    async with world.watching(live(SIGN_IN, 4), live(APP, 5)):
        world.kube.answers.extend([as_applied(4), as_applied(5)])
        await world.routes.ensure(WANTED, now())
        assert world.routes.sight(A, WANTED).began == now()
    assert len(world.writes()) == 2


@virtual
@pytest.mark.parametrize("there", [original(APP, 5), theirs(APP, 5, "old"), live(APP, 5, deletionTimestamp="x")])
async def test_what_is_ours_is_taken_by_force_but_only_in_the_version_that_was_seen(there: Object) -> None:
    world = World()
    async with world.watching(live(SIGN_IN, 4), there):
        world.kube.answers.append(as_applied(101))
        await world.routes.ensure(WANTED, 0.0)
        assert world.status() is Status.PRESENT
    (asked,) = world.writes()
    assert asked.query == {"fieldManager": f"{MANAGER}.me", "force": "true"}
    assert asked.body["metadata"]["resourceVersion"] == "5"


@virtual
async def test_a_foreign_route_is_never_touched() -> None:
    world = World()
    async with world.watching(theirs(SIGN_IN, 4)):
        with pytest.raises(ConflictError):
            await world.routes.ensure(WANTED, now())
        await world.routes.remove(A, ())
    assert world.writes() == []


@virtual
async def test_a_foreign_route_made_meanwhile_is_a_conflict_and_stays() -> None:
    world = World()
    async with world.watching():
        world.kube.answers.extend([conflicting(), theirs(SIGN_IN, 101)])
        with pytest.raises(ConflictError):
            await world.routes.ensure(WANTED, now())
        assert world.status() is Status.FOREIGN
    assert len(world.writes()) == 1


@virtual
@pytest.mark.parametrize("there", [original(SIGN_IN, 101), live(SIGN_IN, 101), gone()])
async def test_a_route_of_ours_changed_meanwhile_is_read_again_and_decided_again(there: Any) -> None:
    world = World()
    async with world.watching(live(SIGN_IN, 4, labels={OWNER_LABEL: "old"})):
        world.kube.answers.extend([conflicting(), there])
        with pytest.raises(StaleError):
            await world.routes.ensure(WANTED, now())
        entry = world.routes.reflector.get(SIGN_IN.name)
        assert (entry and entry.version) == (None if isinstance(there, Exception) else 101)


@virtual
async def test_defaults_that_the_server_adds_are_no_drift_and_a_change_after_that_is() -> None:
    world = World()

    def defaulted(asked: Asked) -> Object:
        reply: Object = as_applied(101)(asked)
        return {**reply, "spec": {**reply["spec"], "routes": [{**reply["spec"]["routes"][0], "syntax": "default"}]}}

    async with world.watching(live(SIGN_IN, 4)):
        world.kube.answers.append(defaulted)
        await world.routes.ensure(WANTED, 0.0)
        assert world.status() is Status.PRESENT
        world.routes.reflector.offer({**live(APP, 102), "spec": {"entryPoints": ["web"], "routes": []}}, now())
        assert world.status() is Status.MISSING


@virtual
async def test_a_route_that_is_still_being_deleted_is_not_called_done() -> None:
    world = World()
    async with world.watching(live(SIGN_IN, 4)):
        world.kube.answers.append(live(APP, 101, deletionTimestamp="x"))
        with pytest.raises(TransientError, match="RouteBeingDeleted"):
            await world.routes.ensure(WANTED, 0.0)


@virtual
async def test_no_write_begins_with_less_than_its_time_limit_on_the_lease() -> None:
    world = World()
    world.left = 10.0
    async with world.watching(live(SIGN_IN, 4)):
        with pytest.raises(NotLeadingError):
            await world.routes.ensure(WANTED, 0.0)
        with pytest.raises(NotLeadingError):
            await world.routes.remove(A, ())
    assert world.writes() == []


@virtual
async def test_removal_takes_what_is_ours_in_the_version_that_was_seen() -> None:
    world = World()
    async with world.watching(live(SIGN_IN, 4), live(APP, 5)):
        world.kube.answers.extend([{"kind": "Status", "status": "Success"}] * 2)
        await world.routes.remove(A, ())
        assert world.routes.sessions() == set()
        seen = world.routes.sight(A, WANTED)
        assert (seen.status, seen.ours, seen.began) == (Status.MISSING, (), now())
    first, second = world.writes()
    assert (first.method, first.path) == ("DELETE", f"{PATH}/{APP.name}")
    assert first.body == {"preconditions": {"uid": f"uid-{APP.name}", "resourceVersion": "5"}}
    assert second.body["preconditions"]["resourceVersion"] == "4"


@virtual
async def test_removal_keeps_what_it_is_told_to_keep_without_asking_who_lives() -> None:
    world = World()
    world.alive = {A}
    async with world.watching(live(SIGN_IN, 4), live(APP, 5)):
        world.kube.answers.append({"kind": "Status"})
        await world.routes.remove(A, (SIGN_IN.name,))
    assert [asked.path for asked in world.writes()] == [f"{PATH}/{APP.name}"]


@virtual
async def test_nothing_of_a_session_that_lives_is_removed() -> None:
    world = World()
    world.alive = {A}
    async with world.watching(live(SIGN_IN, 4)):
        with pytest.raises(StaleError):
            await world.routes.remove(A, ())
    assert world.writes() == []


@virtual
@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([gone(), gone()], None),
        ([conflicting(), live(APP, 101)], StaleError),
        ([conflicting(), theirs(APP, 101)], ConflictError),
    ],
)
async def test_a_route_that_changed_or_went_before_its_removal(
    answers: list[Any], error: type[Exception] | None
) -> None:
    world = World()
    async with world.watching(live(APP, 5)):
        world.kube.answers.extend(answers)
        if error:
            with pytest.raises(error):
                await world.routes.remove(A, ())
        else:
            await world.routes.remove(A, ())
            assert world.routes.sessions() == set()
    assert len(world.writes()) == 1


@virtual
async def test_a_route_that_a_finalizer_holds_is_deleted_once_and_holds_up_nothing() -> None:
    world = World()
    async with world.watching(live(APP, 5)):
        world.kube.answers.append({**live(APP, 101, deletionTimestamp="x"), "kind": "IngressRoute"})
        await world.routes.remove(A, ())
        seen = world.routes.sight(A, WANTED)
        assert (seen.status, seen.ours) == (Status.MISSING, ())
        await world.routes.remove(A, ())
    assert len(world.writes()) == 1


@virtual
async def test_what_the_original_operator_left_is_not_removed_its_session_may_live_where_we_cannot_see() -> None:
    world = World()
    async with world.watching(original(SIGN_IN, 10), original(APP, 11)):
        assert world.routes.sessions() == set()
        await world.routes.remove(A, ())
    assert world.writes() == []


@virtual
async def test_an_edit_that_overtakes_the_reply_to_our_write_is_not_taken_for_what_the_server_made_of_it() -> None:
    world = World()
    stripped = live(APP, 131)
    stripped["spec"] = {"entryPoints": ["web"], "routes": []}

    def overtaken(asked: Asked) -> Object:
        reply: Object = as_applied(130)(asked)
        world.routes.reflector.offer(reply, now())
        world.routes.reflector.offer(stripped, now())
        return reply

    async with world.watching(live(SIGN_IN, 10)):
        world.kube.answers.append(overtaken)
        await world.routes.ensure((APP,), now())
        assert world.status() is Status.MISSING


# An answer that took its time says what was true when it was asked: the routes of a Pod made meanwhile went.
@pytest.mark.parametrize("slowness", [0.0, PROOF - 1])
@virtual
async def test_a_removal_that_waited_for_its_turn_does_not_rest_on_an_old_proof(slowness: float) -> None:
    world = World()
    world.slowness = slowness
    async with world.watching(live(APP, 5)):
        for _ in range(CONCURRENT_WRITES):
            await world.routes._turns.acquire()
        removal = asyncio.create_task(world.routes.remove(A, ()))
        await asyncio.sleep(PROOF + 1)
        for _ in range(CONCURRENT_WRITES):
            world.routes._turns.release()
        with pytest.raises(StaleError, match="TooLate"):
            await removal
        assert world.writes() == []
        world.kube.answers.append({"kind": "Status"})
        await world.routes.remove(A, ())
    assert len(world.writes()) == 1


@virtual
async def test_a_removal_does_not_wait_for_a_proof_that_is_late() -> None:
    world = World()
    world.slowness = PROOF + 1
    async with world.watching(live(APP, 5)):
        with pytest.raises(TransientError, match="too long to tell which sessions live"):
            await world.routes.remove(A, ())
    assert world.writes() == []


@virtual
async def test_only_some_writes_are_under_way_at_a_time_so_that_the_lease_finds_a_connection() -> None:
    world = World()
    async with world.watching():
        world.kube.usual = SILENCE
        writes = [asyncio.create_task(world.routes.ensure((APP,), now())) for _ in range(3 * CONCURRENT_WRITES)]
        await asyncio.sleep(1)
        assert len(world.writes()) == CONCURRENT_WRITES
        await asyncio.wait(writes)
        assert all(isinstance(write.exception(), TransientError) for write in writes)


@virtual
async def test_a_write_without_an_answer_leaves_the_session_unknown_until_it_is_looked_at() -> None:
    world = World()
    async with world.watching(live(SIGN_IN, 4)):
        world.kube.answers.append(SILENCE)
        with pytest.raises(TransientError):
            await world.routes.ensure(WANTED, 0.0)
        assert world.status() is Status.UNKNOWN
        world.kube.answers.append(listed(103, live(SIGN_IN, 4), live(APP, 102)))
        # Any look will do for this caller, but none that is older than the doubt: it would not end it, for ever.
        await world.routes.look(NEVER)
        assert world.status() is Status.PRESENT


@virtual
async def test_a_doubt_that_was_settled_does_not_come_back_with_a_strangers_route_of_the_name() -> None:
    world = World()
    async with world.watching(live(SIGN_IN, 4), live(APP, 5)):
        world.kube.answers.append(SILENCE)
        with pytest.raises(TransientError):
            await world.routes.ensure(WANTED, now())
        assert world.status() is Status.UNKNOWN
        world.routes.reflector._take({"type": "DELETED", "object": live(SIGN_IN, 101)})
        assert world.status() is Status.MISSING
        world.routes.reflector._take({"type": "ADDED", "object": theirs(SIGN_IN, 102)})
        assert world.status() is Status.FOREIGN


@virtual
async def test_only_a_doubt_that_is_left_is_worth_a_look() -> None:
    world = World()
    async with world.watching(live(SIGN_IN, 4)):
        await world.routes.settle()
        world.kube.answers.append(SILENCE)
        with pytest.raises(TransientError):
            await world.routes.ensure(WANTED, 0.0)
        world.kube.answers.append(listed(103, live(SIGN_IN, 4), live(APP, 102)))
        await world.routes.settle()
        assert world.status() is Status.PRESENT
        await world.routes.settle()
    assert [asked.method for asked in world.kube.asked] == ["PATCH", "GET"]


@virtual
async def test_a_removal_looks_first_when_a_write_got_no_answer() -> None:
    world = World()
    async with world.watching(live(SIGN_IN, 4)):
        world.kube.answers.append(SILENCE)
        with pytest.raises(TransientError):
            await world.routes.ensure(WANTED, 0.0)
        done = {"kind": "Status"}
        world.kube.answers.extend([listed(103, live(SIGN_IN, 4), live(APP, 102)), done, done])
        await world.routes.remove(A, ())
        assert world.status() is Status.MISSING
    assert [asked.method for asked in world.kube.asked] == ["PATCH", "GET", "DELETE", "DELETE"]


@virtual
async def test_a_cluster_without_the_kind_says_what_to_install() -> None:
    world = World()
    world.kube.answers.append(refusal(404, PATH))
    with pytest.raises(SharedError, match="RouteKindMissing"):
        await world.routes.look(now())


@virtual
async def test_while_the_kind_is_missing_nothing_is_sent_and_its_installation_wakes_everybody() -> None:
    world = World()
    async with world.watching(then=(refusal(404, PATH),)):
        with pytest.raises(SharedError, match="RouteKindMissing"):
            await world.routes.ensure(WANTED, now())
        assert not world.kube.asked
        world.kube.streams.append([SILENCE])
        await asyncio.sleep(LONGEST)
        assert world.told == ["recovered"]
        world.kube.answers.extend([as_applied(201), as_applied(202)])
        await world.routes.ensure(WANTED, now())
    assert [asked.method for asked in world.kube.asked] == ["PATCH", "PATCH"]
