"""The record as annotation texts, and back: separate keys, so that a person reads them in `kubectl describe pod`.

Called by `controller.reconcile`, which hands the texts to `k8s.annotation` for a compare-and-set. A text that nobody
can read is a named condition (`Unreadable`), never a crash and never a guess.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from fsm.record import SessionRecord, shortened
from fsm.session import PREFIX
from fsm.states import State

_T = TypeVar("_T")

VERSION = "1"

_MOST = 10**9 - 1  # of a count: a hand-edited million digits must not cost a second
_VERSION, _STATE, _HOSTNAME, _SERVICE, _SINCE, _ATTEMPTS, _RETRY_AT, _LAST_ERROR, _POD_UID, _REVISION = (
    PREFIX + key
    for key in (
        "version",
        "state",
        "hostname",
        "service",
        "since",
        "attempts",
        "retry-at",
        "last-error",
        "pod-uid",
        "revision",
    )
)
# Every key that this operator writes: a compare-and-set tests all of them.
KEYS = (_VERSION, _STATE, _HOSTNAME, _SERVICE, _SINCE, _ATTEMPTS, _RETRY_AT, _LAST_ERROR, _POD_UID, _REVISION)


@dataclass(frozen=True)
class Unreadable:
    """A text that is no record; `key` is the annotation's name without our prefix."""

    key: str


def render(record: SessionRecord) -> dict[str, str]:
    """The annotations of `record`; a key that does not appear has to be absent."""
    optional = {
        _SERVICE: record.service,
        _RETRY_AT: record.retry_at and _stamp(record.retry_at),
        _LAST_ERROR: record.last_error,
    }
    return {
        _VERSION: VERSION,
        _STATE: record.state.value,
        _HOSTNAME: record.hostname,
        _SINCE: _stamp(record.since),
        _ATTEMPTS: str(min(record.attempts, _MOST)),
        _POD_UID: record.pod_uid,
        _REVISION: str(min(record.revision, _MOST)),
    } | {key: text for key, text in optional.items() if text}


def says_ready(texts: Mapping[str, str]) -> bool:
    """Whether a Pod's annotations say Ready, true or not: for the order of work among thousands."""
    return texts.get(_STATE) == State.READY.value


def read(texts: Mapping[str, str], pod_uid: str) -> SessionRecord | Unreadable | None:
    """The record in a Pod's annotations: None when there is none, Unreadable when it is not one of this Pod's."""
    ours = {key: texts[key] for key in KEYS if key in texts}
    if not ours:
        return None
    try:
        _check(ours, pod_uid)
        return SessionRecord(
            pod_uid=ours[_POD_UID],
            state=_parsed(ours, _STATE, State),
            hostname=_parsed(ours, _HOSTNAME, _nonempty),
            since=_parsed(ours, _SINCE, _time),
            service=ours.get(_SERVICE) or None,
            attempts=_parsed(ours, _ATTEMPTS, _count),
            retry_at=_parsed(ours, _RETRY_AT, _time) if _RETRY_AT in ours else None,
            last_error=shortened(ours.get(_LAST_ERROR, "")),
            revision=_parsed(ours, _REVISION, _count),
        )
    except _UnreadableError as error:
        return Unreadable(error.key.removeprefix(PREFIX))


class _UnreadableError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _check(ours: Mapping[str, str], pod_uid: str) -> None:
    # The version first: what a newer one means by the other keys is not known here.
    for key, wanted in ((_VERSION, VERSION), (_POD_UID, pod_uid)):
        if ours.get(key) != wanted:
            raise _UnreadableError(key)


def _parsed(ours: Mapping[str, str], key: str, parse: Callable[[str], _T]) -> _T:
    try:
        return parse(ours[key])
    except (KeyError, ValueError) as error:
        raise _UnreadableError(key) from error


def _nonempty(text: str) -> str:
    if not text:
        raise ValueError(text)
    return text


def _count(text: str) -> int:
    # isdecimal alone takes other scripts' digits.
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_MOST))):
        raise ValueError(text)
    return int(text)


def _time(text: str) -> datetime:
    # Not strptime: it takes ten times as long. What the parser takes besides our form does not come out the same.
    parsed = datetime.fromisoformat(text)
    if not text.endswith("Z") or _stamp(parsed) != text:
        raise ValueError(text)
    return parsed


def _stamp(time: datetime) -> str:
    # Not strftime: it writes years before 1000 without their zeros.
    return time.astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat() + "Z"
