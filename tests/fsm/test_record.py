"""How a record moves on: what a trigger, an outcome and the time make of it."""

from datetime import UTC, datetime, timedelta

import pytest

from fsm.backoff import CAP
from fsm.outcome import Conflict, Done, Failed, Outcome, Retry, Waiting
from fsm.record import (
    CALM,
    ERROR_LIMIT,
    SessionRecord,
    begin,
    clamp,
    move,
    pause_left,
    rename,
    settle,
    shortened,
)
from fsm.states import State, Trigger
from fsm.table import IllegalTransitionError
from tests.builders import HOST, NOW, OLD_HOST, record

SERVICE = "http://router:80"
LATER = NOW + timedelta(seconds=30)
UNREADABLE = "RecordUnreadable: state"
DRIFT = [
    (Trigger.RECORD_LOST, State.PENDING, "DnsRecordLost: "),
    (Trigger.RULE_LOST, State.DNS_CREATED, "TunnelRuleLost: "),
    (Trigger.ROUTES_LOST, State.TUNNEL_RULE_ADDED, "RoutesLost: "),
]
FORWARD = [
    (State.PENDING, Trigger.RECORD_EXISTS),
    (State.DNS_CREATED, Trigger.RULE_EXISTS),
    (State.TUNNEL_RULE_ADDED, Trigger.ROUTES_EXIST),
    (State.ROUTES_CREATED, Trigger.VERIFIED),
]


def moved(old: SessionRecord, trigger: Trigger, now: datetime = LATER, jitter: float = 0.0) -> SessionRecord:
    return move(old, trigger, now, service=SERVICE, jitter=jitter)


def settled(old: SessionRecord, outcome: Outcome, now: datetime = LATER, jitter: float = 0.0) -> SessionRecord:
    return settle(old, outcome, now, jitter=jitter)


def in_seconds(seconds: float) -> datetime:
    return LATER + timedelta(seconds=seconds)


def test_a_new_session_begins_at_pending_with_nothing_promised() -> None:
    assert begin("uid-1", HOST, NOW) == SessionRecord("uid-1", State.PENDING, HOST, since=NOW)


def test_the_bounds_that_people_are_told_of() -> None:
    assert timedelta(minutes=10) == CALM
    assert ERROR_LIMIT == 1_000
    assert begin("uid-1", HOST, NOW).revision == 0


def test_a_session_whose_text_cannot_be_read_begins_anew_and_says_which() -> None:
    new = begin("uid-1", HOST, NOW, unreadable="retry-at")
    said = "RecordUnreadable: the annotation retry-at could not be read; the session was worked out again"
    assert (new.state, new.last_error, new.attempts) == (State.PENDING, said, 0)


@pytest.mark.parametrize(("state", "trigger"), FORWARD)
def test_a_move_forward_takes_away_what_was_in_the_way_and_keeps_the_count(state: State, trigger: Trigger) -> None:
    new = moved(record(state, attempts=3, retry_at=NOW, last_error="A: b"), trigger)
    assert (new.attempts, new.retry_at, new.last_error, new.since) == (3, None, None, LATER)


@pytest.mark.parametrize(("state", "trigger"), FORWARD)
def test_only_the_rules_move_tells_which_service_was_written(state: State, trigger: Trigger) -> None:
    new = moved(record(state, service="http://old:80"), trigger)
    assert new.service == (SERVICE if trigger is Trigger.RULE_EXISTS else "http://old:80")


@pytest.mark.parametrize(("trigger", "state", "reason"), DRIFT)
def test_drift_leads_back_counts_and_says_what_is_gone(trigger: Trigger, state: State, reason: str) -> None:
    new = moved(record(State.READY), trigger)
    assert new.state is state
    assert new.attempts == 1
    assert (new.last_error or "").startswith(reason)


def test_a_foreign_object_in_the_place_of_what_was_lost_is_told_at_once() -> None:
    calm = record(State.READY, attempts=7)
    new = move(calm, Trigger.RULE_LOST, LATER, service=SERVICE, jitter=0.0, problem="RuleConflict: of\nsomebody")
    assert (new.last_error, new.attempts, new.retry_at) == ("RuleConflict: of somebody", 8, in_seconds(64))


def test_the_first_repair_after_a_calm_time_does_not_wait() -> None:
    calm = record(State.READY, attempts=7, since=LATER - CALM - timedelta(seconds=1))
    new = moved(calm, Trigger.RECORD_LOST)
    assert (new.attempts, new.retry_at) == (1, None)


def test_a_session_that_was_ready_for_a_short_time_is_not_calm() -> None:
    new = moved(record(State.READY, attempts=7, since=LATER - CALM), Trigger.RECORD_LOST)
    assert (new.attempts, new.retry_at) == (8, in_seconds(64))


def test_a_session_that_hangs_for_hours_before_ready_is_not_calm() -> None:
    new = settled(record(State.DNS_CREATED, attempts=7, since=LATER - 100 * CALM), Retry("A: b"))
    assert new.attempts == 8


def test_somebody_who_resets_every_minute_meets_a_pause_that_grows_to_the_cap() -> None:
    session, pauses, now = record(State.READY), [], NOW
    for _ in range(12):
        now += timedelta(seconds=60)
        session = moved(session, Trigger.RECORD_LOST, now, jitter=0.999)
        pauses.append(pause_left(session, now))
        now += timedelta(seconds=pauses[-1])
        session = settled(session, Done(), now)
        for _, trigger in FORWARD:
            session = moved(session, trigger, now)
    assert pauses == sorted(pauses)
    assert pauses[0] == 0.0
    assert pauses[-1] == CAP


@pytest.mark.parametrize(
    ("state", "trigger"),
    [
        (State.READY, Trigger.RENAMED),
        (State.READY, Trigger.DELETED),
        (State.TEARING_DOWN, Trigger.REVIVED),
    ],
)
def test_a_new_purpose_starts_without_the_old_troubles_but_keeps_the_promises(state: State, trigger: Trigger) -> None:
    old = record(state, attempts=9, retry_at=in_seconds(60), last_error=UNREADABLE, service="http://old:80")
    new = moved(old, trigger)
    assert (new.attempts, new.retry_at, new.last_error) == (0, None, None)
    assert (new.hostname, new.service) == (HOST, "http://old:80")


def test_an_illegal_move_raises_and_changes_nothing() -> None:
    old = record(State.PENDING, attempts=2)
    with pytest.raises(IllegalTransitionError):
        moved(old, Trigger.VERIFIED)
    assert old == record(State.PENDING, attempts=2)


def test_a_rename_promises_the_new_name_and_forgets_the_old_service() -> None:
    old = record(hostname=OLD_HOST, service="http://old:80", attempts=2, retry_at=NOW, last_error="A: b")
    new = rename(old, HOST, LATER)
    assert (new.hostname, new.service, new.since) == (HOST, None, LATER)
    assert (new.state, new.retry_at, new.last_error) == (State.PENDING, None, None)


def test_done_clears_the_way_and_moves_nothing() -> None:
    new = settled(record(State.DNS_CREATED, attempts=2, retry_at=NOW, last_error="A: b"), Done())
    assert new == record(State.DNS_CREATED, attempts=2)


def test_waiting_for_nobodys_fault_changes_nothing() -> None:
    old = record(attempts=2, last_error="A: b")
    assert settled(old, Waiting()) == old


def test_waiting_for_everybodys_fault_says_so_and_counts_nothing() -> None:
    new = settled(record(attempts=2, retry_at=NOW), Waiting("TokenInvalid: renew it"))
    assert (new.last_error, new.attempts, new.retry_at) == ("TokenInvalid: renew it", 2, None)


def test_a_conflict_is_told_counts_nothing_and_has_no_time() -> None:
    new = settled(record(attempts=2, retry_at=NOW), Conflict("RuleConflict: foreign"))
    assert (new.last_error, new.attempts, new.retry_at) == ("RuleConflict: foreign", 2, None)


def test_a_failure_that_passes_is_tried_again_later_and_later() -> None:
    session, pauses = record(), []
    for _ in range(9):
        session = settled(session, Retry("A: b"))
        pauses.append(pause_left(session, LATER))
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 150]
    assert (session.attempts, session.last_error) == (9, "A: b")


def test_a_failure_that_needs_a_person_is_tried_again_soon_for_once_and_then_at_the_slowest_pace() -> None:
    session, pauses = record(), []
    for _ in range(3):
        session = settled(session, Failed("KubernetesForbidden: no right"), jitter=0.5)
        pauses.append(pause_left(session, LATER))
    assert pauses == [2, 225, 225]
    assert (session.attempts, session.last_error) == (3, "KubernetesForbidden: no right")


@pytest.mark.parametrize(
    ("asked", "waited"),
    [(0.0, 1), (0.5, 1), (1.4, 2), (59.2, 60), (60.0, 60), (10_000.0, CAP), (float("inf"), CAP), (float("nan"), 1)],
)
def test_the_other_side_is_never_asked_again_earlier_than_it_said(asked: float, waited: float) -> None:
    assert settled(record(), Retry("A: b", asked)).retry_at == in_seconds(waited)


def test_a_pause_is_never_shorter_than_meant_because_annotations_hold_whole_seconds() -> None:
    now = LATER + timedelta(microseconds=700_000)
    retry_at = settled(record(), Retry("A: b", 5.0), now).retry_at
    assert retry_at == in_seconds(6)


@pytest.mark.parametrize(
    "new",
    [
        begin("uid-1", HOST, LATER + timedelta(microseconds=1)),
        moved(record(), Trigger.RECORD_EXISTS, LATER + timedelta(microseconds=1)),
        rename(record(), HOST, LATER + timedelta(microseconds=1)),
    ],
)
def test_since_is_the_second_in_which_it_happened(new: SessionRecord) -> None:
    assert new.since == LATER


def test_times_are_in_utc_wherever_the_clock_is() -> None:
    there = LATER.astimezone(tz=None)
    assert begin("uid-1", HOST, there).since.tzinfo is UTC


@pytest.mark.parametrize(
    "outcome", [Waiting("A:  b\n c"), Conflict("A:  b\n c"), Retry("A:  b\n c"), Failed("A:  b\n c")]
)
def test_an_error_is_remembered_as_it_will_be_read_again(outcome: Outcome) -> None:
    assert settled(record(), outcome).last_error == "A: b c"


@pytest.mark.parametrize("outcome", [Done(), Waiting()])
def test_that_a_text_was_unreadable_stays_until_something_else_happens(outcome: Outcome) -> None:
    assert settled(record(last_error=UNREADABLE), outcome).last_error == UNREADABLE


@pytest.mark.parametrize(("state", "trigger"), FORWARD)
def test_that_a_text_was_unreadable_stays_on_the_whole_way_to_ready(state: State, trigger: Trigger) -> None:
    assert moved(record(state, last_error=UNREADABLE), trigger).last_error == UNREADABLE


def test_a_newer_failure_takes_the_place_of_an_unreadable_text() -> None:
    failed = settled(record(last_error=UNREADABLE), Retry("A: b"))
    assert failed.last_error == "A: b"
    assert settled(failed, Done()).last_error is None


@pytest.mark.parametrize("seconds", [-10, 0, 299, 300])
def test_a_time_within_the_cap_is_kept(seconds: int) -> None:
    old = record(retry_at=NOW + timedelta(seconds=seconds))
    assert clamp(old, NOW) is old


@pytest.mark.parametrize("retry_at", [NOW + timedelta(seconds=301), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)])
def test_a_later_time_means_the_cap_from_now(retry_at: datetime) -> None:
    assert clamp(record(retry_at=retry_at), NOW).retry_at == NOW + timedelta(seconds=CAP)


def test_no_time_stays_none() -> None:
    assert clamp(record(), NOW).retry_at is None


def test_a_pause_that_was_just_written_is_not_clamped_away() -> None:
    now = LATER + timedelta(microseconds=900_000)
    failed = settled(record(last_error="A: b"), Failed("A: b"), now, jitter=0.9999)
    assert clamp(failed, now) is failed


@pytest.mark.parametrize(("retry_at", "left"), [(None, 0), (NOW, 0), (LATER, 30), (NOW - timedelta(days=1), 0)])
def test_the_pause_is_what_is_left_of_it(retry_at: datetime | None, left: float) -> None:
    assert pause_left(record(retry_at=retry_at), NOW) == left


def test_a_short_text_stays_as_it_is() -> None:
    assert shortened("RuleConflict: käse — foreign") == "RuleConflict: käse — foreign"


def test_a_long_text_is_cut_with_a_mark() -> None:
    assert shortened("x" * ERROR_LIMIT) == "x" * ERROR_LIMIT
    assert shortened("x" * (ERROR_LIMIT + 1)) == "x" * (ERROR_LIMIT - 1) + "…"


@pytest.mark.parametrize("text", ["", " ", "\n\x00"])
def test_a_text_of_nothing_is_none(text: str) -> None:
    assert shortened(text) is None
    assert settled(record(), Retry(text)).last_error is None


def test_lines_tabs_and_what_cannot_be_printed_become_one_space() -> None:
    assert shortened(" A:\n\n b\t\x00c\ud800d\u202ee ") == "A: b c d e"
