"""Every record survives its annotations, and no annotation is a crash."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from fsm.codec import KEYS, Unreadable, read, render
from fsm.record import ERROR_LIMIT, SessionRecord
from fsm.session import PREFIX
from tests.property.strategies import annotations, records, texts

ALL_TIMES = st.datetimes(datetime(1, 1, 1), timezones=st.just(UTC)).map(lambda time: time.replace(microsecond=0))


@given(records(hostnames=texts.filter(bool), times=ALL_TIMES))
def test_every_record_comes_back_as_it_was(session: SessionRecord) -> None:
    assert read(render(session), session.pod_uid) == session


@given(records(), st.text(max_size=20))
def test_no_record_is_taken_for_another_pods(session: SessionRecord, uid: str) -> None:
    wanted = session if uid == session.pod_uid else Unreadable("pod-uid")
    assert read(render(session), uid) == wanted


@given(annotations())
def test_any_texts_are_a_record_or_nothing_or_a_named_key(found: dict[str, str]) -> None:
    result = read(found, "uid-1")
    if isinstance(result, Unreadable):
        assert PREFIX + result.key in KEYS
    elif result is None:
        assert not set(found) & set(KEYS)
    else:
        assert len(result.last_error or "") <= ERROR_LIMIT
        assert read(render(result), "uid-1") == result


@given(st.dictionaries(st.sampled_from(KEYS), st.text()))
def test_texts_that_make_no_sense_at_all_are_no_crash(found: dict[str, str]) -> None:
    assert isinstance(read(found, "uid-1"), Unreadable | None)


@given(records(), st.data())
def test_a_record_that_lost_any_text_that_it_needs_names_one_that_is_missing(
    session: SessionRecord, data: st.DataObject
) -> None:
    texts_of = render(session)
    needed = [key for key in texts_of if key.removeprefix(PREFIX) not in ("service", "retry-at", "last-error")]
    lost = data.draw(st.sets(st.sampled_from(needed), min_size=1, max_size=len(needed) - 1))
    result = read({key: text for key, text in texts_of.items() if key not in lost}, "uid-1")
    assert isinstance(result, Unreadable)
    assert PREFIX + result.key in lost
