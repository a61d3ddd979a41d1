"""What is remembered of a session between two looks: its Pod's record, or one in memory when it has no Pod.

`reconcile` recalls a record at the start of each look. The Pod is the truth; memory only carries a session whose last
Pod is gone from one removal step to the next, and hands its history to a new Pod of the same hash.
"""

from dataclasses import replace
from datetime import datetime

from fsm import codec
from fsm.codec import Unreadable
from fsm.observation import Observation, PodFacts, carrier_of
from fsm.record import SessionRecord, begin, clamp
from fsm.states import State


class Memory:
    """Records of sessions without a Pod, by hash; gone with the process, which costs a retry's pause at most."""

    def __init__(self) -> None:
        self._ghosts: dict[str, SessionRecord] = {}

    def recall(
        self, session: str, pods: tuple[PodFacts, ...], last: PodFacts | None, hostname: str, now: datetime
    ) -> SessionRecord:
        """The session's record as it goes into the next decision; never fails. `last` is its Pod that went last."""
        carrier = carrier_of(pods)
        if carrier is None:
            ghost = self._ghosts.get(session) or _left_by(last)
            return clamp(ghost, now) if ghost else begin("", hostname, now)
        result = codec.read(carrier.annotations, carrier.uid)
        match result:
            case SessionRecord():
                return clamp(result, now)
            case Unreadable(key):
                return begin(carrier.uid, hostname, now, unreadable=key)
            case None:
                return self._inherited(session, pods, last, carrier) or begin(carrier.uid, hostname, now)

    def written(self, seen: Observation) -> SessionRecord | None:
        """The record that is persisted now, to tell whether there is anything to write; None: no readable one."""
        if seen.carrier is None:
            return self._ghosts.get(seen.session)
        result = codec.read(seen.carrier.annotations, seen.carrier.uid)
        return result if isinstance(result, SessionRecord) else None

    def remember(self, seen: Observation, record: SessionRecord) -> None:
        """Keep the record of a session that is going: its Pod will be gone before its objects are."""
        if record.state is State.TEARING_DOWN:
            self._ghosts[seen.session] = record
        else:
            self.forget(seen.session)

    def forget(self, session: str) -> None:
        """Nothing of the session is left, or its Pod carries the record."""
        self._ghosts.pop(session, None)

    def _inherited(
        self, session: str, pods: tuple[PodFacts, ...], last: PodFacts | None, carrier: PodFacts
    ) -> SessionRecord | None:
        """What a new Pod takes over from its predecessor: the names that were promised, as a session to be revived."""
        left = [record for pod in pods if pod.uid != carrier.uid and (record := _left_by(pod))]
        former = max(left, key=lambda record: record.since, default=self._ghosts.get(session) or _left_by(last))
        return former and replace(former, pod_uid=carrier.uid, state=State.TEARING_DOWN, revision=0)


def _left_by(pod: PodFacts | None) -> SessionRecord | None:
    """What the record of a Pod says that is gone, or going: which rule it had is known from nowhere else.

    Of what was in its way only what its removal met: a Pod that is going before it had a record of its own would
    tell of the failure of a journey that nobody wants any more, and wait for its next try.
    """
    record = codec.read(pod.annotations, pod.uid) if pod else None
    if not isinstance(record, SessionRecord):
        return None
    is_met = record.state is State.TEARING_DOWN
    return record if is_met else replace(record, attempts=0, retry_at=None, last_error=None)
