"""An error's text is what a person reads in `last-error`."""

import pytest

from fsm import errors
from fsm.errors import ConflictError, NotLeadingError, PermanentError, SessionError, TransientError

CLASSES = (
    "TransientError",
    "NotKeptError",
    "PermanentError",
    "ConflictError",
    "SharedError",
    "StaleError",
    "GoneError",
)


@pytest.mark.parametrize(
    ("text", "remedy", "wanted"),
    [
        ("it is full", "", "ZoneFull: it is full"),
        ("it is full.", "", "ZoneFull: it is full"),
        ("it is full", "make room", "ZoneFull: it is full. Make room"),
        ("it is full.", "make room.", "ZoneFull: it is full. Make room"),
        ("", "make room", "ZoneFull: Make room"),
        ("it is full of TXT", "ask for PLAN X", "ZoneFull: it is full of TXT. Ask for PLAN X"),
    ],
)
def test_reason_text_and_remedy_make_one_line(text: str, remedy: str, wanted: str) -> None:
    assert str(SessionError("ZoneFull", text, remedy)) == wanted


@pytest.mark.parametrize("name", CLASSES)
def test_every_kind_keeps_its_parts(name: str) -> None:
    error = getattr(errors, name)("Reason", "text", "remedy")
    assert (error.reason, error.text, error.remedy) == ("Reason", "text", "remedy")
    assert str(error) == "Reason: text. Remedy"
    assert isinstance(error, SessionError)


def test_a_conflict_is_permanent() -> None:
    assert issubclass(ConflictError, PermanentError)


def test_only_a_conflict_and_what_is_not_kept_are_more_than_one_kind() -> None:
    kinds = [getattr(errors, name) for name in CLASSES]
    pairs = {(a.__name__, b.__name__) for a in kinds for b in kinds if a is not b and issubclass(a, b)}
    assert pairs == {("ConflictError", "PermanentError"), ("NotKeptError", "TransientError")}


def test_a_transient_error_may_say_how_long() -> None:
    assert TransientError("RateLimited", "slow down").retry_after is None
    assert TransientError("RateLimited", "slow down", retry_after=7.5).retry_after == 7.5


def test_not_leading_brings_its_own_words() -> None:
    assert str(NotLeadingError()) == "NotLeading: this replica does not hold the lease long enough for a write"


def test_equal_failures_look_equal() -> None:
    assert str(TransientError("A", "b", retry_after=1)) == str(TransientError("A", "b", retry_after=2))


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn = {line.split()[1] for line in (errors.__doc__ or "").splitlines() if line.lstrip().startswith("+ ")}
    assert drawn == {*CLASSES, "NotLeadingError"}
