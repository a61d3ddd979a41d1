"""The record of one session, as its Pod's annotations hold it, and how it moves on.

`controller.reconcile` begins or restores one, lets `fsm.decide` look at it, and comes back with a trigger (`move`) or
an outcome (`settle`); `fsm.codec` turns the result into texts. All values are frozen; every function returns a new one.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import assert_never

from fsm.backoff import CAP, delay
from fsm.desired import TunnelRule
from fsm.outcome import Conflict, Done, Failed, Outcome, Retry, Waiting
from fsm.states import State, Trigger
from fsm.table import next_state

UNREADABLE = "RecordUnreadable"
ERROR_LIMIT = 1_000  # characters of last_error
# A session that was Ready for this long starts counting its attempts anew. Not earlier: somebody who removes our
# record every minute must meet our backoff although every single repair succeeds.
CALM = timedelta(minutes=10)

_SLOWEST = 100  # attempts: their pause is the longest

_DRIFT = {
    Trigger.RECORD_LOST: "DnsRecordLost: the DNS record was removed or changed by somebody else; it is made again",
    Trigger.RULE_LOST: "TunnelRuleLost: the tunnel rule was removed or changed by somebody else; it is made again",
    Trigger.ROUTES_LOST: "RoutesLost: an IngressRoute was removed or changed by somebody else; it is made again",
}


@dataclass(frozen=True)
class SessionRecord:
    """What is remembered of a session, exactly as its annotations can say it: times are aware, in UTC and whole
    seconds, `last_error` is `shortened`. A record that differed from its own texts would be written again for ever.

    `hostname` and `service` are what was promised and written (they may differ from what is wanted now); `attempts`
    counts failures and repairs since the session was last calm; `revision` grows by one with each write.
    """

    pod_uid: str
    state: State
    hostname: str
    since: datetime
    service: str | None = None
    attempts: int = 0
    retry_at: datetime | None = None
    last_error: str | None = None
    revision: int = 0

    @property
    def rules(self) -> tuple[TunnelRule, ...]:
        """The tunnel rules that this session is known to have written; a rule itself carries no mark."""
        return (TunnelRule(self.hostname, self.service),) if self.service else ()


def begin(pod_uid: str, hostname: str, now: datetime, *, unreadable: str = "") -> SessionRecord:
    """The record of a session that has none, or whose text cannot be read (`unreadable` names the key)."""
    text = f"{UNREADABLE}: the annotation {unreadable} could not be read; the session was worked out again"
    error = text if unreadable else None
    return SessionRecord(pod_uid, State.PENDING, hostname, since=_second(now), last_error=error)


def shortened(error: str) -> str | None:
    """One printable line of at most ERROR_LIMIT characters (what is one already stays as it is), or None."""
    line = " ".join("".join(char if char.isprintable() else " " for char in error).split())
    return line[: ERROR_LIMIT - 1] + "…" if len(line) > ERROR_LIMIT else line or None


def clamp(record: SessionRecord, now: datetime) -> SessionRecord:
    """The record with a `retry_at` no later than the cap from now: a skewed clock or a hand must not stop a session."""
    latest = _second_after(now, CAP)
    if record.retry_at is None or record.retry_at <= latest:
        return record
    return replace(record, retry_at=latest)


def move(
    record: SessionRecord, trigger: Trigger, now: datetime, *, service: str, jitter: float, problem: str = ""
) -> SessionRecord:
    """The record after `trigger`; `service` is what our rule points at once it exists, `problem` the foreign object in
    place of what was lost: with a pause ahead, "it is made again" would be told of what may not be touched.

    Raises:
        IllegalTransitionError: the table does not allow it.
    """
    moved = replace(record, state=next_state(record.state, trigger), since=_second(now))
    if trigger in _DRIFT:
        attempts = _calm_attempts(record, now) + 1
        moved = _pause(replace(moved, attempts=attempts), delay(attempts - 1, jitter), now)
        return replace(moved, last_error=shortened(problem) or _DRIFT[trigger])
    if trigger in (Trigger.RENAMED, Trigger.DELETED, Trigger.REVIVED):
        return replace(moved, attempts=0, retry_at=None, last_error=None)
    if trigger is Trigger.RULE_EXISTS:
        moved = replace(moved, service=service)
    return _cleared(moved)


def rename(record: SessionRecord, hostname: str, now: datetime) -> SessionRecord:
    """The record once nothing of its old hostname is left."""
    return replace(_cleared(record), hostname=hostname, service=None, since=_second(now))


def settle(record: SessionRecord, outcome: Outcome, now: datetime, *, jitter: float) -> SessionRecord:
    """The record after an effect; the state moves only on evidence (`move`)."""
    match outcome:
        case Done():
            return _cleared(record)
        case Waiting(error):
            # When to try again is not its own affair any more: the time of an earlier failure has passed.
            return replace(record, last_error=shortened(error), retry_at=None) if error else record
        case Conflict(error):
            return replace(record, last_error=shortened(error), retry_at=None)
        case Retry(error, retry_after):
            failed = _failed(record, error, now)
            return _pause(failed, max(delay(failed.attempts, jitter), min(retry_after, CAP)), now)
        case Failed(error):
            failed = _failed(record, error, now)
            # The first time may be a fluke: an API server that has just started knows nobody's rights for a moment.
            attempts = failed.attempts if failed.last_error != record.last_error else _SLOWEST
            return _pause(failed, delay(attempts, jitter), now)
        case _:
            assert_never(outcome)


def pause_left(record: SessionRecord, now: datetime) -> float:
    """Seconds until this session may act again; 0 when it may now."""
    return 0.0 if record.retry_at is None else max(0.0, (record.retry_at - now).total_seconds())


def _failed(record: SessionRecord, error: str, now: datetime) -> SessionRecord:
    return replace(record, attempts=_calm_attempts(record, now) + 1, last_error=shortened(error))


def _calm_attempts(record: SessionRecord, now: datetime) -> int:
    calm = record.state is State.READY and now - record.since > CALM
    return 0 if calm else record.attempts


def _pause(record: SessionRecord, seconds: float, now: datetime) -> SessionRecord:
    return replace(record, retry_at=_second_after(now, seconds) if seconds > 0 else None)


def _second(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(microsecond=0)


def _second_after(now: datetime, seconds: float) -> datetime:
    """The first whole second at or after `seconds` from now: nobody is asked again earlier than they said."""
    return _second(now + timedelta(seconds=seconds, microseconds=999_999))


def _cleared(record: SessionRecord) -> SessionRecord:
    """Nothing is in the way any more. That a text was unreadable stays: cleared at once, nobody would see it."""
    kept = record.last_error if (record.last_error or "").startswith(UNREADABLE) else None
    return replace(record, retry_at=None, last_error=kept)
