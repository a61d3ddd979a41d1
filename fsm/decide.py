"""The heart: what must happen next for one session. Pure and total: every record and observation has an answer.

`controller.reconcile` calls it in a loop: a `Move` or a `Rename` changes the record and asks again, an `Act` goes to
`controller.perform`, everything else ends the look. Within one observation the loop ends: moves forward need evidence
that a piece is there, moves back evidence that it is not.
"""

from dataclasses import dataclass
from datetime import datetime

from fsm.effects import (
    Effect,
    EnsureDns,
    EnsureRoutes,
    EnsureTunnelRules,
    RemoveDns,
    RemoveRoutes,
    RemoveTunnelRules,
    VerifyReady,
)
from fsm.observation import NEVER, Observation, Sight, Status
from fsm.record import SessionRecord, pause_left
from fsm.states import State, Trigger
from fsm.table import JOURNEY


@dataclass(frozen=True)
class Act:
    """Carry out this effect."""

    effect: Effect


@dataclass(frozen=True)
class Move:
    """The evidence moves the session; nothing has to be done for it. `problem` is what stands where a part was lost."""

    trigger: Trigger
    problem: str = ""


@dataclass(frozen=True)
class Rename:
    """Nothing of the old hostname is left: the record may promise this one."""

    hostname: str


@dataclass(frozen=True)
class Refuse:
    """Something foreign has a wanted name: tell it, touch nothing, wait for the world to change."""

    error: str


@dataclass(frozen=True)
class Wait:
    """Look again after this many seconds."""

    seconds: float


@dataclass(frozen=True)
class Rest:
    """Nothing to do until something changes."""


Step = Act | Move | Rename | Refuse | Wait | Rest

_DRIFT = (Trigger.RECORD_LOST, Trigger.RULE_LOST, Trigger.ROUTES_LOST)
_FORWARD = (Trigger.RECORD_EXISTS, Trigger.RULE_EXISTS, Trigger.ROUTES_EXIST)


def decide(record: SessionRecord, seen: Observation, now: datetime) -> Step:
    """The next step of the session with this record, in this world, at this time."""
    if seen.live is None:
        return _decide_gone(record, seen, now)
    if record.state is State.TEARING_DOWN:
        return Move(Trigger.REVIVED)
    if record.hostname != seen.wanted.hostname:
        return _decide_renamed(record, seen, now)
    return _decide_live(record, seen, now)


def _decide_live(record: SessionRecord, seen: Observation, now: datetime) -> Step:
    # The pause comes before everything: drift and repair in turn, at somebody else's pace, must meet our backoff.
    if pause := pause_left(record, now):
        return Wait(pause)
    achieved = JOURNEY.index(record.state)
    for sight, trigger in zip(seen.parts[:achieved], _DRIFT, strict=False):
        if seen.is_fresh(sight) and sight.status is not Status.PRESENT:
            return Move(trigger, sight.problem)
    # Looked for before anything is made, so that a foreign rule never becomes ours by our own record.
    for sight in seen.parts:
        if seen.is_fresh(sight) and sight.status is Status.FOREIGN:
            return Refuse(sight.problem)
    return _forward(record, seen)


def _forward(record: SessionRecord, seen: Observation) -> Step:
    if record.state is State.READY:
        former = _former(record, seen)
        return Act(former) if former else Rest()
    if record.state is State.ROUTES_CREATED:
        verified = all(_is_there(sight, seen) for sight in seen.parts)
        return Move(Trigger.VERIFIED) if verified else Act(VerifyReady(seen.since))
    if look := _first_look(seen):
        return Act(look)
    stage = JOURNEY.index(record.state)
    return Move(_FORWARD[stage]) if _is_there(seen.parts[stage], seen) else Act(_ensure(record, seen))


def _first_look(seen: Observation) -> VerifyReady | None:
    """The look that has to come before anything is made: nobody looked yet, or what an old one saw may be gone.

    Also on the way: a new leader may have another owner id, and what stands at the name be the former one's.
    """
    statuses = {sight.status for sight in seen.parts}
    if Status.UNKNOWN in statuses:
        return VerifyReady(NEVER)
    return VerifyReady(seen.since) if Status.FOREIGN in statuses else None


def _ensure(record: SessionRecord, seen: Observation) -> Effect:
    wanted = seen.wanted
    match record.state:
        case State.PENDING:
            return EnsureDns(wanted.records, seen.since)
        case State.DNS_CREATED:
            return EnsureTunnelRules(wanted.rules, record.rules, seen.since)
        case _:
            return EnsureRoutes(wanted.routes, seen.since)


def _is_there(sight: Sight, seen: Observation) -> bool:
    return sight.status is Status.PRESENT and seen.is_fresh(sight)


def _decide_renamed(record: SessionRecord, seen: Observation, now: datetime) -> Step:
    if record.state is not State.PENDING:
        return Move(Trigger.RENAMED)
    if pause := pause_left(record, now):
        return Wait(pause)
    removal = _removal(record, seen, keep_wanted=True)
    return Act(removal) if removal else Rename(seen.wanted.hostname)


def _decide_gone(record: SessionRecord, seen: Observation, now: datetime) -> Step:
    if record.state is not State.TEARING_DOWN:
        return Move(Trigger.DELETED)
    # A Pod that is there and going is a witness itself, however long it takes (its node may be lost).
    if not (seen.permitted or seen.pods):
        return Rest()
    removal = _removal(record, seen, keep_wanted=False)
    if removal is None:
        return Rest()
    pause = pause_left(record, now)
    return Wait(pause) if pause else Act(removal)


def _removal(record: SessionRecord, seen: Observation, *, keep_wanted: bool) -> Effect | None:
    """The first removal that is still due: routes, then rules, the DNS record last.

    The record stands for the rule: a look comes first, if it has to, and tells whose the rule is.
    """
    wanted = seen.wanted
    routes = tuple(route.name for route in wanted.routes) if keep_wanted else ()
    hosts = tuple(rule.hostname for rule in wanted.rules) if keep_wanted else ()
    names = tuple(entry.name for entry in wanted.records) if keep_wanted else ()
    if _is_left(seen.routes, routes):
        return RemoveRoutes(seen.session, keep=routes)
    if _is_left(seen.rules, hosts):
        removal = RemoveTunnelRules(seen.session, keep=hosts, recorded=record.rules)
        return VerifyReady(NEVER) if seen.dns.status is Status.UNKNOWN else removal
    if _is_left(seen.dns, names):
        return RemoveDns(seen.session, keep=names)
    return None


def _former(record: SessionRecord, seen: Observation) -> Effect | None:
    """The removal of what a former hostname left behind whose record was lost: nothing else tells its name."""
    if any(sight.status is Status.UNKNOWN for sight in seen.parts):
        return None
    return _removal(record, seen, keep_wanted=True)


def _is_left(sight: Sight, keep: tuple[str, ...]) -> bool:
    return sight.status is Status.UNKNOWN or any(name not in keep for name in sight.ours)
