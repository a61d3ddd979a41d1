"""`decide` for any record in any world: it always answers, and what it answers is never too much."""

from dataclasses import replace
from datetime import datetime
from itertools import permutations

from hypothesis import given

from fsm.decide import Act, Move, Refuse, Rename, Rest, Step, Wait, decide
from fsm.effects import (
    EnsureDns,
    EnsureRoutes,
    EnsureTunnelRules,
    RemoveDns,
    RemoveRoutes,
    RemoveTunnelRules,
    VerifyReady,
)
from fsm.observation import NEVER, Observation, Status
from fsm.record import SessionRecord, move, pause_left, rename
from fsm.states import State, Trigger
from fsm.table import next_state
from tests.builders import HOST, ROUTES
from tests.property.strategies import near, observations, records

FORWARD = {Trigger.RECORD_EXISTS: 0, Trigger.RULE_EXISTS: 1, Trigger.ROUTES_EXIST: 2}
DRIFT = {Trigger.RECORD_LOST: 0, Trigger.RULE_LOST: 1, Trigger.ROUTES_LOST: 2}
MOST_MOVES = 8


def walk(session: SessionRecord, seen: Observation, now: datetime) -> tuple[list[Step], SessionRecord]:
    """Every step on one look, as `controller.reconcile` takes them, and the record after the last."""
    steps: list[Step] = []
    while len(steps) <= MOST_MOVES:
        step = decide(session, seen, now)
        steps.append(step)
        match step:
            case Move(trigger, problem):
                session = move(session, trigger, now, service="http://r:80", jitter=0.5, problem=problem)
            case Rename(hostname):
                session = rename(session, hostname, now)
            case _:
                return steps, session
    raise AssertionError(f"one look does not end: {steps}")


@given(records(), observations, near)
def test_there_is_always_an_answer_and_a_move_is_always_one_of_the_table(
    session: SessionRecord, seen: Observation, now: datetime
) -> None:
    step = decide(session, seen, now)
    assert isinstance(step, Step)
    if isinstance(step, Move):
        next_state(session.state, step.trigger)


@given(records(), observations, near)
def test_one_look_comes_to_an_end(session: SessionRecord, seen: Observation, now: datetime) -> None:
    steps, _ = walk(session, seen, now)
    assert not isinstance(steps[-1], Move | Rename)


@given(records(), observations, near)
def test_the_same_look_once_more_moves_nothing(session: SessionRecord, seen: Observation, now: datetime) -> None:
    steps, after = walk(session, seen, now)
    assert walk(after, seen, now) == ([steps[-1]], after)


@given(records(), observations, near)
def test_ready_is_only_reached_when_all_three_were_seen_in_looks_that_prove_something(
    session: SessionRecord, seen: Observation, now: datetime
) -> None:
    steps, after = walk(session, seen, now)
    proven = all(seen.is_fresh(sight) and sight.status is Status.PRESENT for sight in seen.parts)
    if Move(Trigger.VERIFIED) in steps:
        assert proven
        assert after.hostname == HOST
    if after.state is State.READY and session.state is not State.READY:
        assert proven


@given(records(), observations, near)
def test_a_move_forward_or_back_rests_on_a_look_that_proves_it(
    session: SessionRecord, seen: Observation, now: datetime
) -> None:
    match decide(session, seen, now):
        case Move(trigger) if trigger in FORWARD:
            sight = seen.parts[FORWARD[trigger]]
            assert seen.is_fresh(sight)
            assert sight.status is Status.PRESENT
        case Move(trigger, problem) if trigger in DRIFT:
            sight = seen.parts[DRIFT[trigger]]
            assert seen.is_fresh(sight)
            assert sight.status is not Status.PRESENT
            assert problem == sight.problem


@given(records(), observations, near)
def test_nothing_is_done_and_nothing_goes_forward_in_a_pause(
    session: SessionRecord, seen: Observation, now: datetime
) -> None:
    if not pause_left(session, now):
        return
    match decide(session, seen, now):
        case Wait(wait):
            assert wait == pause_left(session, now)
        case Move(trigger):
            assert trigger in (Trigger.DELETED, Trigger.REVIVED, Trigger.RENAMED)
        case step:
            assert step == Rest()
            assert seen.live is None


@given(records(), observations, near)
def test_nothing_of_a_live_session_is_removed_but_what_has_another_name(
    session: SessionRecord, seen: Observation, now: datetime
) -> None:
    steps, after = walk(session, seen, now)
    match steps[-1]:
        case Act(RemoveRoutes(keep=keep)):
            wanted = ROUTES
        case Act(RemoveTunnelRules(keep=keep) | RemoveDns(keep=keep)):
            wanted = (HOST,)
        case _:
            return
    if seen.live:
        assert keep == wanted
        assert after.hostname != HOST or after.state is State.READY
    else:
        assert keep == ()
        assert after.state is State.TEARING_DOWN
        assert seen.permitted or seen.pods


@given(records(), observations, near)
def test_a_rule_goes_only_after_the_routes_and_the_record_only_after_the_rule(
    session: SessionRecord, seen: Observation, now: datetime
) -> None:
    match decide(session, seen, now):
        case Act(RemoveTunnelRules(keep=keep)):
            gone = [(seen.routes, ROUTES if keep else ())]
            assert seen.dns.status is not Status.UNKNOWN, "the record stands for the rule"
        case Act(RemoveDns(keep=keep)):
            gone = [(seen.routes, ROUTES if keep else ()), (seen.rules, keep)]
        case Rename(_):
            gone = [(seen.routes, ROUTES), (seen.rules, (HOST,)), (seen.dns, (HOST,))]
        case _:
            return
    for sight, kept in gone:
        assert sight.status is not Status.UNKNOWN
        assert set(sight.ours) <= set(kept)


@given(records(), observations, near)
def test_nothing_is_made_before_somebody_looked_and_found_nothing_foreign(
    session: SessionRecord, seen: Observation, now: datetime
) -> None:
    match walk(session, seen, now)[0][-1]:
        case Act(EnsureDns() | EnsureTunnelRules() | EnsureRoutes()):
            assert all(sight.status in (Status.MISSING, Status.PRESENT) for sight in seen.parts)


@given(records(), observations, near)
def test_a_refusal_tells_a_problem_that_was_seen_in_a_look_that_proves_it(
    session: SessionRecord, seen: Observation, now: datetime
) -> None:
    match decide(session, seen, now):
        case Refuse(error):
            assert error in [sight.problem for sight in seen.parts if seen.is_fresh(sight)]
            assert seen.live


@given(records(), observations, near)
def test_every_effect_asks_for_evidence_of_the_pod_that_is_there_now(
    session: SessionRecord, seen: Observation, now: datetime
) -> None:
    match decide(session, seen, now):
        case Act(effect) if hasattr(effect, "since"):
            is_first_look = effect == VerifyReady(NEVER) and any(part.status is Status.UNKNOWN for part in seen.parts)
            assert effect.since == seen.since or is_first_look


@given(records(), observations, near)
def test_the_order_of_the_pods_says_nothing(session: SessionRecord, seen: Observation, now: datetime) -> None:
    answers = {repr(decide(session, replace(seen, pods=order), now)) for order in permutations(seen.pods)}
    assert len(answers) == 1


@given(records(), observations, near)
def test_the_end_of_the_last_live_pod_leads_to_teardown_whatever_else_is_seen(
    session: SessionRecord, seen: Observation, now: datetime
) -> None:
    _, after = walk(session, seen, now)
    assert (after.state is State.TEARING_DOWN) == (seen.live is None)
