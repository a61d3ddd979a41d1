"""One step for every record in every world: tables of what it is."""

from datetime import datetime, timedelta

import pytest

from fsm.decide import Act, Move, Refuse, Rest, Step, Wait, decide
from fsm.desired import TunnelRule
from fsm.effects import (
    EnsureDns,
    EnsureRoutes,
    EnsureTunnelRules,
    VerifyReady,
)
from fsm.observation import NEVER, Observation, PodFacts, Sight
from fsm.record import SessionRecord
from fsm.states import State, Trigger
from tests.builders import (
    FIRST_SEEN,
    FRESH,
    HOST,
    NOW,
    STALE,
    WANTED,
    foreign,
    missing,
    pod,
    present,
    record,
    seen,
    unknown,
)

PENDING, DNS, RULE, RTS, READY, TEARING_DOWN = State
PROBLEM = "RuleConflict: it is somebody else's"

ENSURE_DNS = Act(EnsureDns(WANTED.records, FIRST_SEEN))
ENSURE_RULES = Act(EnsureTunnelRules(WANTED.rules, (), FIRST_SEEN))
ENSURE_ROUTES = Act(EnsureRoutes(WANTED.routes, FIRST_SEEN))
LOOK_ONCE, LOOK_ANEW = Act(VerifyReady(NEVER)), Act(VerifyReady(FIRST_SEEN))
DNS_LOST, RULE_LOST, ROUTES_LOST = Move(Trigger.RECORD_LOST), Move(Trigger.RULE_LOST), Move(Trigger.ROUTES_LOST)
DNS_TAKEN, RULE_TAKEN, ROUTES_TAKEN = (Move(lost.trigger, PROBLEM) for lost in (DNS_LOST, RULE_LOST, ROUTES_LOST))
REFUSE = Refuse(PROBLEM)

P, M, F, U = present(), missing(), foreign(PROBLEM), unknown()
OLD_P, OLD_M, OLD_F = present(began=STALE), missing(began=STALE), foreign(PROBLEM, began=STALE)
NAMES = {id(P): "P", id(M): "M", id(F): "F", id(U): "U", id(OLD_P): "p", id(OLD_M): "m", id(OLD_F): "f"}


def step(session: SessionRecord, observation: Observation, now: datetime = NOW) -> Step:
    return decide(session, observation, now)


def paused(state: State, **changes: object) -> SessionRecord:
    return record(state, attempts=1, retry_at=NOW + timedelta(seconds=30), last_error="A: b", **changes)


def named(value: object) -> str | None:
    return NAMES.get(id(value)) if isinstance(value, Sight) else None


# One live Pod; each part as last seen: P(resent), M(issing), F(oreign), U(nknown); OLD: in a look that proves nothing.
LIVE = [
    # Before anything is made, somebody has to have looked at all three.
    (PENDING, U, U, U, LOOK_ONCE),
    (PENDING, P, U, P, LOOK_ONCE),
    (PENDING, P, P, U, LOOK_ONCE),
    (PENDING, U, P, P, LOOK_ONCE),
    (PENDING, M, OLD_F, U, LOOK_ONCE),
    (PENDING, M, M, M, ENSURE_DNS),
    (PENDING, OLD_M, OLD_M, OLD_M, ENSURE_DNS),
    (PENDING, OLD_P, P, P, ENSURE_DNS),
    (PENDING, P, M, M, Move(Trigger.RECORD_EXISTS)),
    (PENDING, P, OLD_P, OLD_M, Move(Trigger.RECORD_EXISTS)),
    # What is foreign stops a session before anything of it is made; what was foreign before the Pod may be gone.
    (PENDING, F, M, M, REFUSE),
    (PENDING, M, F, M, REFUSE),
    (PENDING, M, M, F, REFUSE),
    (PENDING, P, P, F, REFUSE),
    (PENDING, U, F, M, REFUSE),
    (PENDING, OLD_F, M, M, LOOK_ANEW),
    (PENDING, M, OLD_F, M, LOOK_ANEW),
    (PENDING, P, P, OLD_F, LOOK_ANEW),
    # The rule.
    (DNS, P, M, M, ENSURE_RULES),
    (DNS, P, OLD_P, M, ENSURE_RULES),
    (DNS, P, U, U, LOOK_ONCE),
    (DNS, U, M, M, LOOK_ONCE),
    (DNS, P, OLD_F, M, LOOK_ANEW),
    (DNS, P, P, M, Move(Trigger.RULE_EXISTS)),
    (DNS, OLD_M, P, M, Move(Trigger.RULE_EXISTS)),
    (DNS, U, P, U, LOOK_ONCE),
    (DNS, M, P, P, DNS_LOST),
    (DNS, F, P, P, DNS_TAKEN),
    (DNS, P, F, M, REFUSE),
    (DNS, P, M, F, REFUSE),
    # The routes.
    (RULE, P, P, M, ENSURE_ROUTES),
    (RULE, P, P, OLD_P, ENSURE_ROUTES),
    (RULE, P, P, U, LOOK_ONCE),
    (RULE, U, P, M, LOOK_ONCE),
    (RULE, OLD_M, OLD_M, OLD_M, ENSURE_ROUTES),
    (RULE, OLD_M, OLD_F, OLD_F, LOOK_ANEW),
    (RULE, P, P, P, Move(Trigger.ROUTES_EXIST)),
    (RULE, M, P, P, DNS_LOST),
    (RULE, M, M, M, DNS_LOST),
    (RULE, P, M, P, RULE_LOST),
    (RULE, OLD_M, M, P, RULE_LOST),
    (RULE, P, F, P, RULE_TAKEN),
    (RULE, P, P, F, REFUSE),
    # All made: Ready needs to see all three, in looks that prove something.
    (RTS, P, P, P, Move(Trigger.VERIFIED)),
    (RTS, OLD_P, P, P, LOOK_ANEW),
    (RTS, P, OLD_P, P, LOOK_ANEW),
    (RTS, P, P, OLD_P, LOOK_ANEW),
    (RTS, U, P, P, LOOK_ANEW),
    (RTS, P, U, P, LOOK_ANEW),
    (RTS, P, P, U, LOOK_ANEW),
    (RTS, OLD_M, P, P, LOOK_ANEW),
    (RTS, P, P, OLD_F, LOOK_ANEW),
    (RTS, M, M, M, DNS_LOST),
    (RTS, P, M, M, RULE_LOST),
    (RTS, P, P, M, ROUTES_LOST),
    (RTS, OLD_P, OLD_P, F, ROUTES_TAKEN),
    # Ready: only a look that proves something is drift.
    (READY, P, P, P, Rest()),
    (READY, OLD_P, OLD_P, OLD_P, Rest()),
    (READY, OLD_M, OLD_M, OLD_M, Rest()),
    (READY, OLD_F, OLD_F, OLD_F, Rest()),
    (READY, U, U, U, Rest()),
    (READY, M, P, P, DNS_LOST),
    (READY, P, M, P, RULE_LOST),
    (READY, P, P, M, ROUTES_LOST),
    (READY, F, P, P, DNS_TAKEN),
    (READY, P, F, P, RULE_TAKEN),
    (READY, P, P, F, ROUTES_TAKEN),
    (READY, OLD_M, P, M, ROUTES_LOST),
    (READY, U, M, P, RULE_LOST),
]


@pytest.mark.parametrize(("state", "dns", "rules", "routes", "wanted"), LIVE, ids=named)
def test_a_session_with_a_live_pod_takes_the_next_step_on_evidence(
    state: State, dns: Sight, rules: Sight, routes: Sight, wanted: Step
) -> None:
    assert step(record(state), seen(pod(), dns=dns, rules=rules, routes=routes)) == wanted


@pytest.mark.parametrize(("dns", "rules", "routes"), [row[1:4] for row in LIVE], ids=named)
@pytest.mark.parametrize("state", [PENDING, DNS, RULE, RTS, READY])
def test_a_pause_holds_everything_up_that_a_live_session_could_do(
    state: State, dns: Sight, rules: Sight, routes: Sight
) -> None:
    assert step(paused(state), seen(pod(), dns=dns, rules=rules, routes=routes)) == Wait(30.0)


@pytest.mark.parametrize(("state", "dns", "rules", "routes", "wanted"), LIVE, ids=named)
def test_a_pause_that_is_over_is_none(state: State, dns: Sight, rules: Sight, routes: Sight, wanted: Step) -> None:
    later = NOW + timedelta(seconds=30)
    assert step(paused(state), seen(pod(), dns=dns, rules=rules, routes=routes), later) == wanted


def test_a_look_that_began_with_the_pod_proves_something() -> None:
    just = present(began=FIRST_SEEN)
    assert step(record(RTS), seen(pod(), dns=just, rules=just, routes=just)) == Move(Trigger.VERIFIED)


def test_a_service_that_was_written_before_is_ours_to_change() -> None:
    session = record(DNS, service="http://old:80")
    wanted = EnsureTunnelRules(WANTED.rules, (TunnelRule(HOST, "http://old:80"),), FIRST_SEEN)
    assert step(session, seen(pod(), rules=missing())) == Act(wanted)


def test_of_several_problems_the_first_on_the_way_is_told() -> None:
    observation = seen(pod(), dns=foreign("A: dns"), rules=foreign("B: rules"), routes=foreign("C: routes"))
    assert step(record(), observation) == Refuse("A: dns")


# Several Pods of one hash are one session.
@pytest.mark.parametrize(
    "others",
    [
        (pod("uid-0", deleting=True),),
        (pod("uid-9", created="2026-11-23T09:00:00Z", deleting=True),),
        (pod("uid-0"), pod("uid-2", created="2026-11-23T01:00:00Z")),
    ],
)
def test_a_session_lives_while_one_of_its_pods_does(others: tuple[PodFacts, ...]) -> None:
    assert step(record(READY), seen(*others, pod(), permitted=True)) == Rest()


def test_evidence_has_to_be_newer_than_the_newest_live_pod() -> None:
    newest = pod("uid-2", created="2026-11-23T03:00:00Z", first_seen=FRESH + 1)
    assert step(record(RTS), seen(pod(), newest)) == Act(VerifyReady(FRESH + 1))


def test_a_pod_that_came_back_revives_the_session_even_in_a_pause() -> None:
    for session in (record(TEARING_DOWN), paused(TEARING_DOWN)):
        assert step(session, seen(pod(), permitted=True)) == Move(Trigger.REVIVED)
