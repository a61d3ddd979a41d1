"""One cut: a session of its own, the leader stopped exactly at one of its requests, and the same end in every case.

`record` plays a phase undisturbed and tells what was asked, `cuts_of` what is to be tried, `play` tries one of it.
"""

import asyncio
import signal
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tests.cluster.cutpoints.ground import Ground, Replica, until
from tests.cluster.cutpoints.kinds import Kind
from tests.cluster.cutpoints.phases import Phase
from tests.cluster.cutpoints.relay import Call, Hold
from tests.cluster.manifests import new_hash
from tests.cluster.site import Json


class Point(NamedTuple):
    """The `nth` request of its kind in a phase."""

    kind: Kind
    nth: int

    def __str__(self) -> str:
        return str(self.kind) + (f", number {self.nth}" if self.nth > 1 else "")


@dataclass(frozen=True, eq=False)
class Recording:
    """What the leader asked in an undisturbed phase, in order, and what the world was like in the end."""

    phase: Phase
    points: Sequence[Point]
    picture: Json


Finish = Callable[[], Awaitable[None]]
Fate = Callable[[Ground, Replica, Hold, Finish], Awaitable[None]]


async def record(ground: Ground, phase: Phase) -> Recording:
    """Play it without a disturbance."""
    session = new_hash()
    await ground.fill()
    leader = await phase.prepare(ground, session)
    known = len(leader.calls)
    await phase.happen(ground, session)
    await phase.done(ground, session)
    await leader.is_quiet()
    points = _numbered(phase, leader, leader.calls[known:])
    return Recording(phase, points, await asyncio.to_thread(ground.picture, session))


async def play(ground: Ground, cut: "Cut") -> None:
    """Play the phase again, with the leader stopped at this request.

    Raises:
        AssertionError: the request never came, or the end is another one than without the cut.
    """
    session, phase, (kind, nth) = new_hash(), cut.recording.phase, cut.point
    await ground.fill()
    nothing = await asyncio.to_thread(ground.picture, session)
    victim = await phase.prepare(ground, session)
    hold = victim.hold(kind, nth, "after" if cut.fate == AFTER else "before")
    await phase.happen(ground, session)
    await until(lambda: hold.is_reached, "the request comes")
    await FATES[cut.fate](ground, victim, hold, lambda: phase.done(ground, session))
    await phase.done(ground, session)
    await ground.looks_like(cut.recording.picture, session)
    await ground.end(session)
    await ground.looks_like(nothing, session)


async def _killed_before(ground: Ground, victim: Replica, hold: Hold, _: Finish) -> None:
    victim.kill()
    hold.drop()
    await ground.kill(victim)


async def _killed_after(ground: Ground, victim: Replica, hold: Hold, _: Finish) -> None:
    await ground.kill(victim)
    hold.release()


async def _asleep(ground: Ground, victim: Replica, hold: Hold, finish: Finish) -> None:
    """Stopped beyond its lease while the request is under way: that arrives when the other one has done all."""
    victim.send(signal.SIGSTOP)
    ground.replicas.remove(victim)
    if not ground.replicas:
        await ground.start()
    await ground.heir()
    await finish()
    hold.release()
    await until(lambda: hold.is_answered, "the late request arrives")
    victim.send(signal.SIGCONT)
    await victim.stops_leading()
    ground.replicas.append(victim)


BEFORE, AFTER, ASLEEP = "killed before the effect", "killed after the effect", "asleep, effect late"
FATES: Mapping[str, Fate] = {BEFORE: _killed_before, AFTER: _killed_after, ASLEEP: _asleep}


class Cut(NamedTuple):
    """One of the things that are tried."""

    recording: Recording
    point: Point
    fate: str


def cuts_of(recording: Recording) -> list[Cut]:
    """Everything that has to be tried of a phase. A read that comes late has no effect, so nobody sleeps over one."""
    return [
        Cut(recording, point, fate)
        for point in recording.points
        for fate in FATES
        if fate != ASLEEP or point.kind.is_write
    ]


def _in_order(calls: Sequence[Call]) -> Iterator[Call]:
    """As they came, but a read of what is written later stands right before that write: what goes out beside another
    request may come before it or after it."""
    waiting: defaultdict[tuple[str, str], list[Call]] = defaultdict(list)
    left = Counter((call.kind.server, call.kind.path) for call in calls if call.kind.is_write)
    for call in calls:
        what = call.kind.server, call.kind.path
        if call.kind.is_write:
            left[what] -= 1
            yield from waiting.pop(what, ())
        if not call.kind.is_write and left[what]:
            waiting[what].append(call)
        else:
            yield call


def _numbered(phase: Phase, leader: Replica, calls: Sequence[Call]) -> list[Point]:
    claim, seen = leader.lease_writes()[0], Counter[Kind]()
    points = []
    for call in _in_order(calls):
        if phase.counts(call.kind) or call is claim:
            seen[call.kind] += 1
            points.append(Point(call.kind, seen[call.kind]))
    return points
