"""Leader election on a Lease: `run(work)` runs `work` whenever, and only while, this replica leads.

The composition root starts it; everybody who writes asks `remaining`. The library's elector is not used: it cannot
create its Lease, goes on working when the API server cannot be reached, and releases nothing (docs/decisions). With a
duration of L seconds: renewed every 2/15 L and looked at by the others every 1/30 L, work stopped when no renewal
succeeded for 2/3 L, taken over by others after L. Only our own clock counts: another holder's Lease is free when its
times have not *changed* for its duration.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from fsm.errors import SessionError, StaleError, TransientError
from fsm.observation import NEVER
from k8s import lease
from k8s.client import Object
from k8s.lease import LeaseFacts
from k8s.lease_store import LeaseStore

_log = logging.getLogger(__name__)

# In shares of the duration.
RENEW = 2 / 3  # without a renewal for this long, the work is stopped
RETRY = 2 / 15  # from one renewal to the next
# From one look to the next of who waits: a released Lease may lie there for so long, before all else that a hand-over
# takes. With twice as much the first write after SIGTERM came after 2.6 s once (5,000 sessions, Cloudflare far away).
LOOK = 1 / 30
REQUEST = 4 / 15  # one request: two fit into RENEW
MARGIN = 1 / 15  # kept back from the writers, for clocks that do not run equally fast
# Seconds for each of the last two requests: a long Lease must not keep the Pod until it is killed.
RELEASE = 4.0

Work = Callable[[], Coroutine[Any, Any, None]]


class Elector:
    """`controller.ports.Leadership`. `identity` names this process and no other; `duration` is in seconds.

    `facts` is the Lease as last read, `last_attempt` the time of the latest try (the task is stuck if that is long
    ago), `problem` why the Lease cannot be read or written now. `on_annotations(annotations)` follows each change of
    the Lease's annotations, on the leader and on the standby.
    """

    def __init__(
        self,
        store: LeaseStore,
        *,
        identity: str,
        duration: float,
        now: Callable[[], float],
        wall: Callable[[], datetime],
        on_annotations: Callable[[Mapping[str, str]], None],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self.identity = identity
        self._duration = duration
        self._now = now
        self._wall = wall
        self._on_annotations = on_annotations
        self._jitter = jitter
        self._held: Object | None = None  # the Lease as we wrote it last; None: read it first
        self._sent = NEVER  # when the last successful renewal was sent
        self._changed_at = NEVER  # when the Lease's token was seen to change
        self._may_hold = False  # whether the Lease may bear our name: a write was sent, and nothing refutes it
        self._task: asyncio.Task[None] | None = None
        self._notes: dict[str, str | None] = {}
        self._wake = asyncio.Event()
        self.facts = LeaseFacts()
        self.last_attempt = now()
        self.problem: SessionError | None = None

    def remaining(self) -> float:
        """Seconds for which this replica may still write: counted from the sending of the last renewal."""
        return max(0.0, self._sent + self._duration * (1 - MARGIN) - self._now())

    def annotate(self, key: str, text: str | None) -> None:
        """Set an annotation of the Lease with the next renewal, which is sent at once (None: remove it)."""
        self._notes[key] = text
        self._wake.set()

    async def run(self, work: Work) -> None:
        """Lead whenever possible; return when `work` returned by itself, raise what it raises.

        Cancelled, it lets the work stop first (which ends its writes in flight), then releases the Lease.
        """
        try:
            while not (await self._try() and await self._lead(work)):
                await self._pause(self._until_look())
        finally:
            # Cancelled a second time while the work was stopping: it may still write, so the Lease runs out instead.
            if self._task is None:
                await self._release()

    async def _lead(self, work: Work) -> bool:
        """Whether the work came to an end by itself; False: leadership was lost, and the work was stopped."""
        self._task = task = asyncio.create_task(work())
        task.add_done_callback(lambda _: self._wake.set())
        try:
            while not task.done():
                await self._pause(RETRY * self._duration * (0.8 + 0.4 * self._jitter()))
                if await self._try() is False or self._now() >= self._sent + RENEW * self._duration:
                    break
            has_ended = task.done()
        finally:
            await self._stop(task)
        if not task.cancelled():
            task.result()
        return has_ended

    async def _stop(self, task: asyncio.Task[None]) -> None:
        # First of all: what is not sent yet stays unsent.
        self._sent = NEVER
        self._notes.clear()
        task.cancel()
        await asyncio.wait({task})
        self._task = None

    def _until_look(self) -> float:
        """Seconds: often, and once right after the other's Lease has run out."""
        look = LOOK * self._duration * (0.8 + 0.4 * self._jitter())
        left = self._changed_at + self.facts.duration - self._now()
        return min(look, left + look / 10) if left >= 0 else look

    async def _pause(self, seconds: float) -> None:
        """Until the next attempt is due, somebody annotates, or the work ends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    async def _try(self) -> bool | None:
        """Get or keep the Lease; False: another one holds it, None: nobody knows."""
        self.last_attempt = self._now()
        try:
            is_held = await self._attempt()
        except StaleError:
            # Changed since we read it (a note, another replica): read it again next time.
            self._held, self.problem = None, None
            return None
        except SessionError as error:
            self._held, self.problem = None, error
            return None
        except Exception as bug:
            _log.exception("the lease could not be handled: this is a bug")
            self._held, self.problem = (
                None,
                TransientError("InternalError", type(bug).__name__, "see the operator's log"),
            )
            return None
        self.problem = None
        return is_held

    async def _attempt(self) -> bool:
        found = self._held or await self._store.read(self._limit())
        if found is None:
            body = lease.new(self._store.name, self._store.namespace, self.identity, self._duration, self._wall())
            await self._write(self._store.create, body)
            return True
        facts = self._observe(found)
        if facts.holder == self.identity:
            await self._write(self._store.replace, lease.renewed(found, self._duration, self._wall()))
        elif self._is_free(facts):
            await self._write(self._store.replace, lease.claimed(found, self.identity, self._duration, self._wall()))
        else:
            self._may_hold = False
            return False
        return True

    async def _write(self, send: Callable[[Object, float], Coroutine[Any, Any, Object]], body: Object) -> None:
        notes = dict(self._notes)
        sent, self._may_hold = self._now(), True
        self._held = await send(lease.annotated(body, notes), self._limit())
        self._sent = sent
        self._notes = {key: text for key, text in self._notes.items() if key not in notes or notes[key] != text}
        self._observe(self._held)

    def _limit(self) -> float:
        """Seconds for one request: a leader must know before its renewal deadline."""
        left = self._sent + RENEW * self._duration - self._now() if self._task else self._duration
        return max(RETRY * self._duration, min(REQUEST * self._duration, left))

    def _observe(self, found: Object) -> LeaseFacts:
        before, self.facts = self.facts, lease.read(found)
        if self.facts.token != before.token:
            self._changed_at = self._now()
        if self.facts.annotations != before.annotations:
            self._on_annotations(self.facts.annotations)
        return self.facts

    def _is_free(self, facts: LeaseFacts) -> bool:
        return not facts.holder or self._now() - self._changed_at > facts.duration

    async def _release(self) -> None:
        """Let another replica take over at once. Best effort: what is not released runs out."""
        self._sent = NEVER
        if not self._may_hold:
            return
        with suppress(SessionError):
            limit = min(self._limit(), RELEASE)
            found = await self._store.read(limit)
            if found and lease.read(found).holder == self.identity:
                await self._store.replace(lease.released(found, self._wall()), limit)
