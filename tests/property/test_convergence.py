"""Decide, perform, look again: from any record in any world, a session comes to its end and stays there.

The world here does at once what it is asked for; faults, two replicas and time have their own simulation.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from fsm.decide import Act, Move, Refuse, Rename, Rest, Wait, decide
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
from fsm.observation import NEVER, Observation, PodFacts, Sight, Status
from fsm.outcome import Conflict, Done
from fsm.record import SessionRecord, clamp, move, rename, settle
from fsm.states import State
from tests.builders import FRESH, HASH, HOST, NOW, OLD_HOST, ROUTES, STALE, WANTED, pod
from tests.property.strategies import records

DNS, RULES, RTS = "dns", "rules", "routes"
NAMES = {DNS: (HOST,), RULES: (HOST,), RTS: ROUTES}
OLD_ROUTE = f"opencode-session-{HASH}-old-app"
MOST_STEPS = 40  # the longest way: a rename with three removals, the journey, and looks between


@dataclass
class World:
    """What exists by part, whose it is, and when it was last looked at."""

    ours: dict[str, set[str]]
    foreign: set[str]  # parts whose wanted name is somebody else's
    began: dict[str, float]
    done: list[Effect] = field(default_factory=list)

    def sight(self, part: str) -> Sight:
        ours = tuple(sorted(self.ours[part]))
        if self.began[part] == NEVER:
            return Sight(Status.UNKNOWN, NEVER, ours=ours)
        if part in self.foreign:
            return Sight(Status.FOREIGN, self.began[part], f"{part}: foreign", ours)
        status = Status.PRESENT if set(NAMES[part]) <= self.ours[part] else Status.MISSING
        return Sight(status, self.began[part], ours=ours)

    def look(self) -> None:
        self.began = dict.fromkeys(NAMES, FRESH)

    def perform(self, effect: Effect) -> None:
        self.done.append(effect)
        match effect:
            case VerifyReady():
                self.look()
            case EnsureDns():
                self._ensure(DNS)
            case EnsureTunnelRules():
                self._ensure(RULES)
            case EnsureRoutes():
                self._ensure(RTS)
            case RemoveDns(_, keep):
                self._remove(DNS, keep)
            case RemoveTunnelRules(_, keep, _):
                self._remove(RULES, keep)
            case RemoveRoutes(_, keep):
                self._remove(RTS, keep)

    def _ensure(self, part: str) -> None:
        self.ours[part] |= set(NAMES[part]) if part not in self.foreign else set()
        self.began[part] = FRESH

    def _remove(self, part: str, keep: tuple[str, ...]) -> None:
        self.ours[part] &= set(keep)
        self.began[part] = FRESH


@st.composite
def worlds(draw: st.DrawFn) -> World:
    foreign = draw(st.sets(st.sampled_from([DNS, RULES, RTS]), max_size=1))
    names = {DNS: [HOST, OLD_HOST], RULES: [HOST, OLD_HOST], RTS: [*ROUTES, OLD_ROUTE]}
    ours = {part: draw(st.sets(st.sampled_from(names[part]))) for part in NAMES}
    for part in foreign:
        ours[part] -= set(NAMES[part])
    began = {part: draw(st.sampled_from([NEVER, STALE, FRESH])) for part in NAMES}
    return World(ours, foreign, began)


def run(session: SessionRecord, world: World, pods: tuple[PodFacts, ...]) -> tuple[SessionRecord, object]:
    """One look after another until nothing is left to do; the record then, and the last step."""
    now: datetime = NOW
    session = clamp(session, now)
    for _ in range(MOST_STEPS):
        dns, rules, routes = (world.sight(part) for part in NAMES)
        seen = Observation(HASH, WANTED, pods, dns, rules, routes, permitted=True)
        step = decide(session, seen, now)
        match step:
            case Move(trigger, problem):
                service = WANTED.rules[0].service
                session = move(session, trigger, now, service=service, jitter=0.5, problem=problem)
            case Rename(hostname):
                session = rename(session, hostname, now)
            case Act(effect):
                world.perform(effect)
                session = settle(session, Done(), now, jitter=0.5)
            case Wait(seconds):
                now += timedelta(seconds=seconds)
            case Refuse(error):
                return settle(session, Conflict(error), now, jitter=0.5), step
            case Rest() if all(map(seen.is_fresh, seen.parts)):
                return session, step
            case Rest():
                world.look()  # as the leader does every minute
    raise AssertionError(f"no end after {MOST_STEPS} steps: {world.done}")


@given(records(), worlds())
def test_a_live_session_comes_to_ready_with_exactly_what_it_should_have(session: SessionRecord, world: World) -> None:
    world.foreign.clear()
    after, step = run(session, world, (pod(),))
    assert (after.state, after.hostname, step) == (State.READY, HOST, Rest())
    if session.hostname == OLD_HOST:
        assert world.ours == {part: set(names) for part, names in NAMES.items()}
    assert all(set(names) <= world.ours[part] for part, names in NAMES.items())


@given(records(states=st.sampled_from([State.PENDING, State.TEARING_DOWN])), worlds())
def test_a_foreign_object_keeps_a_session_from_making_anything(session: SessionRecord, world: World) -> None:
    world.foreign = world.foreign or {RULES}
    world.ours[next(iter(world.foreign))] -= {HOST, *ROUTES}
    before = {part: set(names) for part, names in world.ours.items()}
    after, step = run(session, world, (pod(),))
    assert isinstance(step, Refuse)
    assert after.last_error == step.error
    assert all(names <= before[part] for part, names in world.ours.items())


@given(records(), worlds())
def test_a_session_that_went_leaves_nothing_and_makes_nothing(session: SessionRecord, world: World) -> None:
    for pods in ((), (pod(deleting=True),)):
        there = deepcopy(world)
        after, step = run(session, there, pods)
        assert (after.state, step) == (State.TEARING_DOWN, Rest())
        assert not any(there.ours.values())
        looks_and_removals = VerifyReady | RemoveRoutes | RemoveTunnelRules | RemoveDns
        assert all(isinstance(effect, looks_and_removals) for effect in there.done)


@given(records(), worlds())
def test_what_is_at_its_end_asks_for_nothing_more(session: SessionRecord, world: World) -> None:
    for pods in ((), (pod(),)):
        after, _ = run(session, world, pods)
        world.done.clear()
        again, step = run(after, world, pods)
        assert not world.done
        assert again == after
        assert isinstance(step, Rest | Refuse)
