"""The record as texts: readable for people, exact for machines, and never a crash."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from fsm import codec
from fsm.codec import KEYS, Unreadable, read, render
from fsm.record import ERROR_LIMIT, SessionRecord
from fsm.states import State
from tests.builders import HOST, NOW, record

PREFIX = "cloudflare.opencode.ai/"
FULL = record(
    State.TUNNEL_RULE_ADDED,
    service="http://router:80",
    attempts=3,
    retry_at=datetime(2026, 11, 23, 2, 12, 0, tzinfo=UTC),
    last_error="RateLimited: too many requests",
    revision=7,
)
TEXTS = {
    PREFIX + "version": "1",
    PREFIX + "state": "TunnelRuleAdded",
    PREFIX + "hostname": "8b6cc2aa9a45-oc.no-panic.org",
    PREFIX + "service": "http://router:80",
    PREFIX + "since": "2026-11-23T02:11:09Z",
    PREFIX + "attempts": "3",
    PREFIX + "retry-at": "2026-11-23T02:12:00Z",
    PREFIX + "last-error": "RateLimited: too many requests",
    PREFIX + "pod-uid": "uid-1",
    PREFIX + "revision": "7",
}
OPTIONAL = ("service", "retry-at", "last-error")
MANDATORY = [key.removeprefix(PREFIX) for key in TEXTS if key.removeprefix(PREFIX) not in OPTIONAL]


def edited(key: str, text: str) -> dict[str, str]:
    return {**TEXTS, PREFIX + key: text}


def test_a_record_is_one_annotation_for_each_thing_a_person_wants_to_know() -> None:
    assert render(FULL) == TEXTS
    assert set(TEXTS) == set(KEYS)


def test_a_record_comes_back_as_it_was() -> None:
    assert read(TEXTS, "uid-1") == FULL


def test_what_there_is_not_has_no_key() -> None:
    assert set(KEYS) - set(render(record())) == {PREFIX + key for key in OPTIONAL}


def test_a_record_without_the_optional_things_comes_back_too() -> None:
    assert read(render(record()), "uid-1") == record()


def test_a_pod_without_our_annotations_has_no_record() -> None:
    assert read({}, "uid-1") is None
    assert read({"opencode.ai/pod-secret": "x", PREFIX + "owner": "y"}, "uid-1") is None


def test_other_annotations_do_not_disturb() -> None:
    assert read({**TEXTS, "opencode.ai/last-activity": "x", PREFIX + "future": "y"}, "uid-1") == FULL


@pytest.mark.parametrize("key", MANDATORY)
def test_a_key_that_is_missing_is_named(key: str) -> None:
    texts = {name: text for name, text in TEXTS.items() if name != PREFIX + key}
    assert read(texts, "uid-1") == Unreadable(key)


@pytest.mark.parametrize("key", [key.removeprefix(PREFIX) for key in TEXTS])
def test_a_single_key_that_is_left_over_is_no_record(key: str) -> None:
    missing = "version" if key != "version" else "pod-uid"
    assert read({PREFIX + key: TEXTS[PREFIX + key]}, "uid-1") == Unreadable(missing)


def test_the_text_of_another_pod_is_no_record_of_this_one() -> None:
    assert read(TEXTS, "uid-2") == Unreadable("pod-uid")
    assert read(edited("pod-uid", ""), "uid-1") == Unreadable("pod-uid")


def test_a_newer_version_is_named_before_anything_else_of_it_is_read() -> None:
    assert read({PREFIX + "version": "2", PREFIX + "state": "Warping"}, "uid-1") == Unreadable("version")


@pytest.mark.parametrize("version", ["", "0", "01", "1.0", " 1", "1\n", "١", "v1"])
def test_a_version_is_exactly_ours_or_none(version: str) -> None:
    assert read(edited("version", version), "uid-1") == Unreadable("version")


@pytest.mark.parametrize("state", ["", "ready", "READY", "Ready ", "State.READY", "Warping", "Pending,Ready", "\ud800"])
def test_a_state_is_one_of_six_words(state: str) -> None:
    assert read(edited("state", state), "uid-1") == Unreadable("state")


def test_a_hostname_is_not_empty() -> None:
    assert read(edited("hostname", ""), "uid-1") == Unreadable("hostname")


@pytest.mark.parametrize("key", ["attempts", "revision"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-1",
        "+1",
        "1.0",
        "1e3",
        "0x10",
        "1_000",
        " 1",
        "1\n",
        "three",
        "٣",
        "３",
        "²",
        "𝟛",
        "9" * 10,
        "9" * 10**6,
    ],
)
def test_a_count_is_some_ascii_digits(key: str, text: str) -> None:
    assert read(edited(key, text), "uid-1") == Unreadable(key)


@pytest.mark.parametrize("key", ["since", "retry-at"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-11-23",
        "2026-11-23 02:11:09",
        "2026-11-23T02:11:09",
        "2026-11-23T02:11:09+00:00",
        "2026-11-23T02:11:09.5Z",
        "2026-11-23t02:11:09z",
        "2026-11-23T02:11:09Z ",
        "2026-11-23T02:11:09Z\n",
        "2026-11-23T2:11:09Z",
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T02:60:00Z",
        "2026-11-23T02:11:60Z",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "-2026-11-23T02:11:09Z",
        "２０２６-11-23T02:11:09Z",
        "1764000000",
        "9" * 10_000,
    ],
)
def test_a_time_is_written_in_one_way_and_exists(key: str, text: str) -> None:
    assert read(edited(key, text), "uid-1") == Unreadable(key)


@pytest.mark.parametrize("year", [1, 999, 1970, 9999])
def test_every_year_that_there_is_can_be_written_and_read(year: int) -> None:
    old = record(since=datetime(year, 1, 1, tzinfo=UTC), retry_at=datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC))
    assert read(render(old), "uid-1") == old


def test_a_leap_day_is_a_day() -> None:
    assert not isinstance(read(edited("since", "2028-02-29T00:00:00Z"), "uid-1"), Unreadable)
    assert read(edited("since", "2027-02-29T00:00:00Z"), "uid-1") == Unreadable("since")


def test_times_of_other_zones_are_written_in_utc() -> None:
    there = datetime.fromisoformat("2026-11-23T05:41:09+03:30")
    assert render(record(since=there))[PREFIX + "since"] == "2026-11-23T02:11:09Z"


@pytest.mark.parametrize("key", ["service", "last-error"])
def test_an_empty_text_is_as_good_as_none(key: str) -> None:
    session = read(edited(key, ""), "uid-1")
    assert isinstance(session, SessionRecord)
    assert getattr(session, key.replace("-", "_")) is None


def test_an_error_that_somebody_made_long_is_read_as_it_would_be_written() -> None:
    session = read(edited("last-error", "x\n" * ERROR_LIMIT), "uid-1")
    assert isinstance(session, SessionRecord)
    assert len(session.last_error or "") == ERROR_LIMIT
    assert read(render(session), "uid-1") == session


def test_the_largest_count_that_can_be_read_can_still_grow() -> None:
    session = read(edited("revision", "9" * 9), "uid-1")
    assert isinstance(session, SessionRecord)
    assert session.revision == 10**9 - 1


@pytest.mark.parametrize("count", [10**9 - 1, 10**9, 10**30])
def test_what_is_written_can_be_read_however_far_somebody_has_counted(count: int) -> None:
    session = read(render(record(attempts=count, revision=count)), "uid-1")
    assert isinstance(session, SessionRecord)
    assert session.attempts == session.revision == 10**9 - 1


def test_the_keys_of_the_codec_are_the_ones_of_the_prefix() -> None:
    assert all(key.startswith(PREFIX) for key in codec.KEYS)
    assert len(set(codec.KEYS)) == len(codec.KEYS) == 10


def test_the_names_in_a_record_are_told_in_full() -> None:
    assert read(render(record(hostname=HOST, since=NOW)), "uid-1") == record()


def test_times_are_written_in_utc_and_whole_seconds_wherever_the_operator_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        here = datetime(2026, 11, 23, 4, 11, 9, 999_999, tzinfo=timezone(timedelta(hours=2)))
        texts = render(record(since=here, retry_at=here))
        assert {texts[PREFIX + "since"], texts[PREFIX + "retry-at"]} == {"2026-11-23T02:11:09Z"}
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(("texts", "says"), [(TEXTS, False), ({}, False), (edited("state", "Ready"), True)])
def test_for_the_order_of_work_it_is_enough_what_the_state_says(texts: dict[str, str], says: bool) -> None:
    assert codec.says_ready(texts) is says
