"""What people get to see of a session: log lines, metrics and Kubernetes Events; always after the write.

`reconcile` calls it with what was written and what had been there before.
"""

import asyncio
import logging
import math
from datetime import datetime

from controller.metrics import Metrics
from controller.ports import Events
from fsm.effects import Effect
from fsm.observation import Observation, PodFacts
from fsm.outcome import Outcome
from fsm.record import SessionRecord
from fsm.states import State

_log = logging.getLogger(__name__)

# Seconds from a Pod's creation to its first record: who is older was adopted, or somebody wiped the record.
NEW = 3600.0
CONCURRENT_WRITES = 16  # a count of their own: Events that take long hold up no other session's record


class Reporter:
    """Tells what changed, and only that."""

    def __init__(self, events: Events, metrics: Metrics) -> None:
        self._events = events
        self._metrics = metrics
        self._places = asyncio.Semaphore(CONCURRENT_WRITES)
        self._on_way: set[str] = set()  # uids of Pods that are on their way to their first Ready

    def begin_term(self) -> None:
        """Others may have led since: who was on its way has perhaps come and gone."""
        self._on_way.clear()

    def performed(self, effect: Effect, outcome: Outcome) -> None:
        """Count one effect."""
        self._metrics.effects.labels(type(effect).__name__, type(outcome).__name__).inc()

    async def written(self, seen: Observation, record: SessionRecord, before: SessionRecord | None) -> None:
        """Tell what distinguishes `record` from `before` (None: there was none)."""
        former = before.state if before else None
        if former is not record.state:
            self._metrics.transitions.labels(former.value if former else "", record.state.value).inc()
            _log.info("%s", record.state.value, extra={"hostname": record.hostname, "revision": record.revision})
        await self._tell_error(seen, record, before.last_error if before else None)
        self._time(record, _age(seen.carrier, record), is_first=before is None)
        if record.state is State.READY and former is not State.READY:
            await self._post(seen, "Ready", f"https://{record.hostname} is ready", warning=False)

    def _time(self, record: SessionRecord, age: float, *, is_first: bool) -> None:
        """Measure a Pod's way to its first Ready, if it began here: a repair or an adoption says nothing."""
        if is_first and age < NEW:
            self._on_way.add(record.pod_uid)
        if record.state in (State.READY, State.TEARING_DOWN) and record.pod_uid in self._on_way:
            self._on_way.discard(record.pod_uid)
            if record.state is State.READY:
                self._metrics.ready_seconds.observe(max(0.0, age))

    async def _tell_error(self, seen: Observation, record: SessionRecord, told: str | None) -> None:
        if record.last_error and record.last_error != told:
            _log.warning("%s", record.last_error, extra={"state": record.state.value, "attempts": record.attempts})
            reason, _, text = record.last_error.partition(": ")
            await self._post(seen, reason, text, warning=True)

    async def _post(self, seen: Observation, reason: str, note: str, *, warning: bool) -> None:
        if seen.carrier is not None:
            async with self._places:
                await self._events.post(seen.carrier, reason=reason, note=note, warning=warning)


def _age(pod: PodFacts | None, record: SessionRecord) -> float:
    """Seconds from the Pod's creation to this record; NaN when that cannot be read: no session fails for a measure."""
    try:
        return (record.since - datetime.fromisoformat(pod.created if pod else "")).total_seconds()
    except (ValueError, TypeError):
        return math.nan
