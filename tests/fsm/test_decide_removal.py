"""The way out: what is left of a session, or of a hostname that nobody wants any more, in the order of removal."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from fsm.decide import Act, Move, Rename, Rest, Step, Wait, decide
from fsm.desired import TunnelRule
from fsm.effects import RemoveDns, RemoveRoutes, RemoveTunnelRules, VerifyReady
from fsm.observation import NEVER, Observation, PodFacts, Sight
from fsm.record import SessionRecord
from fsm.states import State, Trigger
from tests.builders import (
    HASH,
    HOST,
    NOW,
    OLD_HOST,
    ROUTES,
    STALE,
    foreign,
    missing,
    pod,
    present,
    record,
    seen,
    unknown,
)

PENDING, DNS, RULE, RTS, READY, TEARING_DOWN = State
P, M, F, U = present(), missing(), foreign(), unknown()
OLD_M = missing(began=STALE)


def step(session: SessionRecord, observation: Observation) -> Step:
    return decide(session, observation, NOW)


def paused(state: State, **changes: object) -> SessionRecord:
    return record(state, attempts=1, retry_at=NOW + timedelta(seconds=30), last_error="A: b", **changes)


# No live Pod: what is left of the session, and the removal that is due.
REMOVE_ROUTES = Act(RemoveRoutes(HASH, keep=()))
REMOVE_RULES = Act(RemoveTunnelRules(HASH, keep=(), recorded=()))
REMOVE_DNS = Act(RemoveDns(HASH, keep=()))
LOOK = Act(VerifyReady(NEVER))
LEFT_DNS, LEFT_RULE, LEFT_ROUTES = present(HOST), present(HOST), present(*ROUTES)
GONE = [
    (LEFT_DNS, LEFT_RULE, LEFT_ROUTES, REMOVE_ROUTES),
    (LEFT_DNS, LEFT_RULE, missing(ROUTES[0]), REMOVE_ROUTES),
    (LEFT_DNS, LEFT_RULE, foreign("A: b", ROUTES[1]), REMOVE_ROUTES),
    (M, M, U, REMOVE_ROUTES),
    (LEFT_DNS, LEFT_RULE, M, REMOVE_RULES),
    (LEFT_DNS, LEFT_RULE, F, REMOVE_RULES),
    (LEFT_DNS, U, M, REMOVE_RULES),
    # Whose record stands at the name tells whose rule it is; nobody waits for Cloudflare to take routes away.
    (U, LEFT_RULE, M, LOOK),
    (U, U, M, LOOK),
    (U, LEFT_RULE, LEFT_ROUTES, REMOVE_ROUTES),
    (U, U, U, REMOVE_ROUTES),
    (M, missing(OLD_HOST), M, REMOVE_RULES),
    (LEFT_DNS, M, M, REMOVE_DNS),
    (LEFT_DNS, F, F, REMOVE_DNS),
    (U, M, M, REMOVE_DNS),
    (missing(OLD_HOST), M, M, REMOVE_DNS),
    (present(HOST, began=STALE), M, M, REMOVE_DNS),
    (M, M, M, Rest()),
    (F, F, F, Rest()),
    (OLD_M, OLD_M, OLD_M, Rest()),
]


@pytest.mark.parametrize(("dns", "rules", "routes", "wanted"), GONE)
@pytest.mark.parametrize("pods", [(), (pod(deleting=True),)], ids=["gone", "going"])
def test_what_is_left_goes_routes_first_and_the_record_last(
    pods: tuple[PodFacts, ...], dns: Sight, rules: Sight, routes: Sight, wanted: Step
) -> None:
    observation = seen(*pods, dns=dns, rules=rules, routes=routes, permitted=True)
    assert step(record(TEARING_DOWN), observation) == wanted


@pytest.mark.parametrize(("dns", "rules", "routes", "wanted"), GONE)
def test_a_removal_that_failed_waits_and_a_finished_one_does_not(
    dns: Sight, rules: Sight, routes: Sight, wanted: Step
) -> None:
    observation = seen(dns=dns, rules=rules, routes=routes, permitted=True)
    assert step(paused(TEARING_DOWN), observation) == (wanted if wanted == Rest() else Wait(30.0))


@pytest.mark.parametrize("state", [PENDING, DNS, RULE, RTS, READY])
@pytest.mark.parametrize("permitted", [True, False])
@pytest.mark.parametrize("pods", [(), (pod(deleting=True),)], ids=["gone", "going"])
@pytest.mark.parametrize("make", [record, paused])
def test_the_last_live_pods_end_leads_to_teardown_from_everywhere(
    make: Callable[[State], SessionRecord], pods: tuple[PodFacts, ...], permitted: bool, state: State
) -> None:
    assert step(make(state), seen(*pods, permitted=permitted)) == Move(Trigger.DELETED)


def test_nothing_is_removed_that_nobody_saw_go() -> None:
    assert step(record(TEARING_DOWN), seen()) == Rest()


def test_a_pod_that_is_there_and_going_is_its_own_witness() -> None:
    assert step(record(TEARING_DOWN), seen(pod(deleting=True))) == REMOVE_ROUTES


def test_the_rule_that_the_record_tells_of_is_removed_with_its_own_service() -> None:
    session = record(TEARING_DOWN, hostname=OLD_HOST, service="http://old:80")
    wanted = RemoveTunnelRules(HASH, keep=(), recorded=(TunnelRule(OLD_HOST, "http://old:80"),))
    assert step(session, seen(routes=missing(), permitted=True)) == Act(wanted)


# The hostname that was promised is not the wanted one any more.
OLD_ROUTE = f"opencode-session-{HASH}-old-app"
RENAMED = [
    (present(OLD_HOST), present(OLD_HOST), present(OLD_ROUTE), Act(RemoveRoutes(HASH, keep=ROUTES))),
    (present(OLD_HOST), present(OLD_HOST), U, Act(RemoveRoutes(HASH, keep=ROUTES))),
    (present(OLD_HOST), present(HOST, OLD_HOST), P, Act(RemoveTunnelRules(HASH, keep=(HOST,), recorded=()))),
    (present(OLD_HOST), U, P, Act(RemoveTunnelRules(HASH, keep=(HOST,), recorded=()))),
    (missing(OLD_HOST), missing(HOST), present(*ROUTES), Act(RemoveDns(HASH, keep=(HOST,)))),
    (U, M, M, Act(RemoveDns(HASH, keep=(HOST,)))),
    (present(HOST), present(HOST), present(*ROUTES), Rename(HOST)),
    (M, M, M, Rename(HOST)),
    (F, F, F, Rename(HOST)),
]


@pytest.mark.parametrize(("dns", "rules", "routes", "wanted"), RENAMED)
def test_what_is_left_of_the_old_name_goes_before_the_new_one_is_promised(
    dns: Sight, rules: Sight, routes: Sight, wanted: Step
) -> None:
    observation = seen(pod(), dns=dns, rules=rules, routes=routes)
    assert step(record(hostname=OLD_HOST), observation) == wanted
    assert step(paused(PENDING, hostname=OLD_HOST), observation) == Wait(30.0)


@pytest.mark.parametrize("state", [DNS, RULE, RTS, READY])
def test_a_new_name_makes_a_session_begin_anew(state: State) -> None:
    assert step(record(state, hostname=OLD_HOST), seen(pod())) == Move(Trigger.RENAMED)


FORMER = [
    (P, P, present(*ROUTES, "old-route"), Act(RemoveRoutes(HASH, keep=ROUTES))),
    (P, present(HOST, OLD_HOST), P, Act(RemoveTunnelRules(HASH, keep=(HOST,), recorded=()))),
    (present(HOST, OLD_HOST), P, P, Act(RemoveDns(HASH, keep=(HOST,)))),
    (present(HOST, OLD_HOST), U, P, Rest()),
]


@pytest.mark.parametrize(("dns", "rules", "routes", "wanted"), FORMER)
def test_a_ready_session_removes_what_a_former_name_left_that_its_record_does_not_tell(
    dns: Sight, rules: Sight, routes: Sight, wanted: Step
) -> None:
    observation = seen(pod(), dns=dns, rules=rules, routes=routes)
    assert step(record(READY), observation) == wanted


def test_the_old_rule_goes_with_the_service_that_it_had() -> None:
    session = record(hostname=OLD_HOST, service="http://old:80")
    recorded = (TunnelRule(OLD_HOST, "http://old:80"),)
    wanted = RemoveTunnelRules(HASH, keep=(HOST,), recorded=recorded)
    assert step(session, seen(pod(), rules=present(OLD_HOST))) == Act(wanted)


def test_a_session_that_went_after_its_name_changed_keeps_nothing() -> None:
    session = record(TEARING_DOWN, hostname=OLD_HOST)
    assert step(session, seen(permitted=True, routes=present(*ROUTES))) == REMOVE_ROUTES


def test_a_session_that_came_back_after_its_name_changed_is_renamed_at_once() -> None:
    session = record(hostname=OLD_HOST)
    assert isinstance(step(session, seen(pod())), Rename)
