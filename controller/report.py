"""What people get to see of a session: log lines, metrics and Kubernetes Events; always after the write.

`reconcile` calls it with what was written and what had been there before.
"""

import logging
from contextlib import suppress
from datetime import datetime

from controller.metrics import Metrics
from controller.ports import Events
from fsm.effects import Effect
from fsm.observation import Observation, PodFacts
from fsm.outcome import Outcome
from fsm.record import SessionRecord
from fsm.states import State

_log = logging.getLogger(__name__)


class Reporter:
    """Tells what changed, and only that."""

    def __init__(self, events: Events, metrics: Metrics) -> None:
        self._events = events
        self._metrics = metrics
        self._lost: set[str] = set()  # uids of Pods that were Ready and are not now

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
        self._time(seen.carrier, record, former)
        if record.state is State.READY and former is not State.READY:
            await self._post(seen, "Ready", f"https://{record.hostname} is ready", warning=False)

    def _time(self, pod: PodFacts | None, record: SessionRecord, former: State | None) -> None:
        """Measure a Pod's way to its first Ready; what was Ready before is on the way back, which says nothing."""
        match former, record.state:
            case _, State.TEARING_DOWN:
                self._lost.discard(record.pod_uid)
            case State.READY, State.READY:
                pass
            case State.READY, _:
                self._lost.add(record.pod_uid)
            case _, State.READY if record.pod_uid in self._lost:
                self._lost.discard(record.pod_uid)
            case _, State.READY if pod is not None:
                # No session fails for a measure: a time that cannot be read is left out.
                with suppress(ValueError, TypeError):
                    waited = record.since - datetime.fromisoformat(pod.created)
                    self._metrics.ready_seconds.observe(max(0.0, waited.total_seconds()))

    async def _tell_error(self, seen: Observation, record: SessionRecord, told: str | None) -> None:
        if record.last_error and record.last_error != told:
            _log.warning("%s", record.last_error, extra={"state": record.state.value, "attempts": record.attempts})
            reason, _, text = record.last_error.partition(": ")
            await self._post(seen, reason, text, warning=True)

    async def _post(self, seen: Observation, reason: str, note: str, *, warning: bool) -> None:
        if seen.carrier is not None:
            await self._events.post(seen.carrier, reason=reason, note=note, warning=warning)
