"""However a record moves on, its texts say all of it, and no pause is longer than the cap or shorter than asked."""

from datetime import datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fsm.backoff import CAP
from fsm.codec import read, render
from fsm.outcome import Conflict, Done, Failed, Outcome, Retry, Waiting
from fsm.record import ERROR_LIMIT, SessionRecord, begin, clamp, move, pause_left, rename, settle, shortened
from fsm.states import State, Trigger
from fsm.table import IllegalTransitionError, next_state
from tests.builders import HOST, record
from tests.property.strategies import errors, jitters, nows, outcomes, records

SECOND = timedelta(seconds=1)
LONGEST = timedelta(seconds=CAP) + SECOND


def comes_back(session: SessionRecord) -> bool:
    return read(render(session), session.pod_uid) == session


@given(errors | st.text())
def test_a_shortened_text_is_short_and_stays_as_it_is(error: str) -> None:
    short = shortened(error)
    if short is None:
        assert not any(char.isprintable() and char != " " for char in error)
        return
    assert len(short) <= ERROR_LIMIT
    assert short.isprintable()
    assert shortened(short) == short


@given(nows, st.sampled_from(["", "state", "retry-at"]))
def test_a_record_that_begins_comes_back(now: datetime, unreadable: str) -> None:
    assert comes_back(begin("uid-1", HOST, now, unreadable=unreadable))


@given(records(), outcomes, nows, jitters)
@example(record(), Conflict("two  spaces"), datetime.fromisoformat("2026-11-23T00:00:00.5Z"), 0.0)
def test_what_an_outcome_makes_of_a_record_comes_back(
    old: SessionRecord, outcome: Outcome, now: datetime, jitter: float
) -> None:
    new = settle(old, outcome, now, jitter=jitter)
    assert new.attempts > 10**9 - 1 or comes_back(new)
    assert (new.state, new.hostname, new.service, new.since) == (old.state, old.hostname, old.service, old.since)


@given(records(), outcomes, nows, jitters)
def test_an_outcome_counts_what_failed_and_nothing_else(
    old: SessionRecord, outcome: Outcome, now: datetime, jitter: float
) -> None:
    new = settle(old, outcome, now, jitter=jitter)
    if isinstance(outcome, Retry | Failed):
        assert new.attempts in (1, old.attempts + 1)
        assert timedelta(0) < (new.retry_at or now) - now <= LONGEST
    else:
        assert new.attempts == old.attempts
        assert new.retry_at == (old.retry_at if outcome == Waiting() else None)


@given(records(), errors, st.floats(0.0, CAP), nows, jitters)
def test_nobody_is_asked_again_earlier_than_they_said(
    old: SessionRecord, error: str, asked: float, now: datetime, jitter: float
) -> None:
    assert pause_left(settle(old, Retry(error, asked), now, jitter=jitter), now) >= asked


@given(records(), outcomes, nows, jitters)
def test_a_pause_that_a_session_gave_itself_is_not_clamped(
    old: SessionRecord, outcome: Outcome, now: datetime, jitter: float
) -> None:
    new = settle(clamp(old, now), outcome, now, jitter=jitter)
    assert clamp(new, now) == new


@given(records(), nows)
def test_no_pause_is_longer_than_the_cap(old: SessionRecord, now: datetime) -> None:
    clamped = clamp(old, now)
    assert pause_left(clamped, now) < CAP + 1
    assert clamp(clamped, now) == clamped
    assert comes_back(clamped)


@given(records(), outcomes, nows, jitters)
def test_the_same_outcome_once_more_changes_no_more_than_a_failures_count(
    old: SessionRecord, outcome: Outcome, now: datetime, jitter: float
) -> None:
    once = settle(old, outcome, now, jitter=jitter)
    if isinstance(outcome, Done | Waiting | Conflict):
        assert settle(once, outcome, now + SECOND, jitter=jitter) == once


@given(records(), st.sampled_from(Trigger), nows, jitters)
def test_a_move_goes_where_the_table_says_or_nowhere(
    old: SessionRecord, trigger: Trigger, now: datetime, jitter: float
) -> None:
    try:
        dest = next_state(old.state, trigger)
    except IllegalTransitionError:
        with pytest.raises(IllegalTransitionError):
            move(old, trigger, now, service="http://r:80", jitter=jitter)
        return
    new = move(old, trigger, now, service="http://r:80", jitter=jitter)
    assert new.state is dest
    assert (new.pod_uid, new.hostname, new.revision) == (old.pod_uid, old.hostname, old.revision)
    assert new.attempts > 10**9 - 1 or comes_back(new)


@given(records(states=st.just(State.PENDING)), nows)
def test_a_rename_comes_back(old: SessionRecord, now: datetime) -> None:
    assert comes_back(rename(old, HOST, now))


@given(st.lists(st.integers(0, 400), min_size=5, max_size=30), jitters)
def test_repairs_in_a_row_are_never_faster_than_the_backoff_however_each_one_succeeds(
    gaps: list[int], jitter: float
) -> None:
    session, now = record(State.READY), record().since
    for number, gap in enumerate(gaps):
        now += timedelta(seconds=gap)
        session = move(session, Trigger.ROUTES_LOST, now, service="", jitter=jitter)
        assert session.attempts == number + 1
        assert pause_left(session, now) >= min(CAP / 2, 2 ** (number - 1) if number else 0)
        now += timedelta(seconds=pause_left(session, now))
        for trigger in (Trigger.ROUTES_EXIST, Trigger.VERIFIED):
            session = move(session, trigger, now, service="", jitter=jitter)
