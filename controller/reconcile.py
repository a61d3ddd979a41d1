"""The hub: observe -> decide -> perform -> move -> write the annotations -> report. One call is one look.

`queue` calls it with a hash; it answers with the seconds until the next look, or None to wait for an event. Everything
is decided in `fsm`; here it is put in order: what has moved is written before the next effect, nothing is written when
nothing changed, and the report comes after the write.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from controller.memory import Memory
from controller.perform import Performer
from controller.ports import Dns, Leadership, Pods, Routes, Tunnel
from controller.problems import Problems
from controller.report import Reporter
from controller.unwritten import Unwritten
from controller.witness import Witness
from fsm import codec
from fsm.decide import Act, Move, Refuse, Rename, Rest, Step, Wait, decide
from fsm.desired import desired
from fsm.effects import Effect, VerifyReady
from fsm.errors import GoneError, NotLeadingError, SessionError, StaleError
from fsm.observation import Observation, Status
from fsm.outcome import Conflict, Done, Outcome, Waiting
from fsm.record import SessionRecord, move, rename, settle
from fsm.session import Profile

# How long to wait for the world to show what made a decision stale, and for a breaker that nobody told us is closed.
STALE_PAUSE = 1.0  # seconds
SHARED_PAUSE = 60.0  # seconds
CONCURRENT_WRITES = 16  # requests to the API server at a time: more only wait in its queue, on our time limit


@dataclass(frozen=True)
class World:
    """The three parts of the world and the Pods."""

    pods: Pods
    dns: Dns
    tunnel: Tunnel
    routes: Routes


class Reconciler:
    """Looks at sessions; holds nothing about one that could not be forgotten."""

    def __init__(
        self,
        *,
        profile: Profile,
        world: World,
        perform: Performer,
        leadership: Leadership,
        witness: Witness,
        memory: Memory,
        report: Reporter,
        problems: Problems,
        wall: Callable[[], datetime],
        random: Callable[[], float],
    ) -> None:
        self._profile = profile
        self._world = world
        self._perform = perform
        self._leadership = leadership
        self._witness = witness
        self._memory = memory
        self._report = report
        self._wall = wall
        self._random = random
        self._writes = asyncio.Semaphore(CONCURRENT_WRITES)
        self._unwritten = Unwritten(problems, random)

    async def __call__(self, session: str) -> float | None:
        """Bring this session as far as it gets now; the seconds until the next look, or None."""
        effect: Effect | None = None
        outcome: Outcome | None = None
        while True:
            seen, record = self._observe(session)
            if not (seen.pods or seen.permitted):
                self._unwritten.ended(session)
                return None  # an orphan, if anything: the sweep's, until it releases it
            written = self._memory.written(seen)
            if outcome is not None:
                record = settle(record, outcome, self._wall(), jitter=self._random())
            # Each effect earns one move, which is written before the next; a look earns as many as it shows.
            is_earned = isinstance(outcome, Done) and not isinstance(effect, VerifyReady)
            record, step = self._walk(record, seen, one_move=is_earned)
            if record != written:
                try:
                    await self._write(seen, record, written)
                except SessionError as error:
                    return self._after_failed_write(session, error)
            self._unwritten.ended(session)  # written, or the world is as the record says again
            if isinstance(outcome, Waiting | Conflict):
                return _pause_after(outcome)
            if record != written:
                outcome = None
                continue
            if not isinstance(step, Act):
                return self._rest(seen, step)
            if isinstance(outcome, Done) and step.effect == effect:
                return STALE_PAUSE  # done, and not to be seen: never ask for the same thing in a circle
            effect = step.effect
            outcome = await self._perform(effect)
            self._report.performed(effect, outcome)

    def is_at_rest(self, session: str) -> bool:
        """Whether there is nothing to do for this session, which says Ready: decided without a look, for thousands."""
        seen, record = self._observe(session)
        written = self._memory.written(seen)
        record, step = self._walk(record, seen, one_move=False)
        return record == written and isinstance(step, Rest)

    def _observe(self, session: str) -> tuple[Observation, SessionRecord]:
        wanted = desired(session, self._profile)
        pods = self._world.pods.of(session)
        record = self._memory.recall(session, pods, self._witness.last_of(session), wanted.hostname, self._wall())
        seen = Observation(
            session=session,
            wanted=wanted,
            pods=pods,
            dns=self._world.dns.sight(session, wanted.records),
            rules=self._world.tunnel.sight(session, wanted.rules, record.rules),
            routes=self._world.routes.sight(session, wanted.routes),
            permitted=self._witness.is_permitted(session),
        )
        if seen.live:
            self._witness.forget(session)
        return seen, record

    def _walk(self, record: SessionRecord, seen: Observation, *, one_move: bool) -> tuple[SessionRecord, Step]:
        """The record after every move that needs no effect (or one, which an effect has earned), and the step then."""
        now = self._wall()
        while True:
            step = decide(record, seen, now)
            match step:
                case Move(trigger, problem):
                    service, jitter = self._profile.service, self._random()
                    record = move(record, trigger, now, service=service, jitter=jitter, problem=problem)
                case Rename(hostname):
                    record = rename(record, hostname, now)
                case Refuse(error):
                    return settle(record, Conflict(error), now, jitter=0.0), step
                case Rest() if all(sight.status is not Status.UNKNOWN for sight in seen.parts):
                    # With nothing left to do nothing is in the way, whatever the last try met.
                    return settle(record, Done(), now, jitter=0.0), step
                case _:
                    return record, step
            if one_move:
                return record, step

    async def _write(self, seen: Observation, record: SessionRecord, written: SessionRecord | None) -> None:
        """Persist, then remember and tell; a session without a Pod is only remembered."""
        record = replace(record, revision=record.revision + 1)
        if seen.carrier is not None:
            self._unwritten.check(seen.session)
            async with self._writes:
                if self._leadership.remaining() <= 0:
                    raise NotLeadingError
                await self._world.pods.write(seen.carrier, codec.render(record), codec.KEYS)
        self._memory.remember(seen, record)
        await self._report.written(seen, record, written)

    def _after_failed_write(self, session: str, error: SessionError) -> float | None:
        match error:
            case StaleError():
                return 0.0  # the cache holds what is there now: decide again
            case GoneError():
                return None  # the watch will tell
            case NotLeadingError():
                return STALE_PAUSE  # the next leader takes over, unless we keep the Lease after all
        return self._unwritten.failed(session, error)

    def _rest(self, seen: Observation, step: Step) -> float | None:
        match step:
            case Wait(seconds):
                return seconds
            case Rest() if seen.live is None and seen.permitted:
                # Nothing of ours is left. A Pod that is still going keeps its record; without one we forget.
                self._witness.forget(seen.session)
                self._memory.forget(seen.session)
        return None


def _pause_after(outcome: Waiting | Conflict) -> float | None:
    match outcome:
        case Waiting(error):
            return SHARED_PAUSE if error else STALE_PAUSE
        case Conflict():
            return None  # the next look at the world that shows a change brings it up again
