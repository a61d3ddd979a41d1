"""Whatever happens to the replicas, the networks and the world: nothing forbidden on the way, all well in the end.

Each example is a story that hypothesis makes up (and shortens, when it fails): steps of people, routers and fate, with
the scheduling of every single callback in between drawn from a seed. When the story is over, the faults stop, and the
world has to become exactly what it should be, and then quiet.
"""

import asyncio
import logging
import math
import os
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    get_state_machine_test,
    initialize,
    invariant,
    precondition,
    rule,
)

from fsm.states import State
from tests.property.simulation import crowds, ending, kill_points
from tests.property.simulation.fates import (
    CHANGES,
    HALT_STEPS,
    NETWORK_FATES,
    PEOPLE,
    REPLICA_FATES,
    stop_at,
    stop_for,
)
from tests.property.simulation.names import HASHES, NEIGHBOUR, NEIGHBOURS
from tests.property.simulation.network import Fault
from tests.property.simulation.preludes import PRELUDES
from tests.property.simulation.simulation import TOLD, Simulation
from tests.property.simulation.tally import TALLY
from tests.property.simulation.trials import LOSSES, SPOILERS, TRIALS

# Mutants only have to be caught: what shortens the story for people takes minutes.
PHASES = (Phase.generate,) if os.environ.get("MUTANT") else (Phase.generate, Phase.shrink)
EXAMPLES = int(os.environ.get("EXAMPLES", "300"))
sessions = st.runner().flatmap(lambda story: st.sampled_from(story.cast))
# How long a step takes before the next one: in the middle of a call, of a walk, of a lease, beyond everything.
SHORT, LONG = (0.05, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5, 4.0, 9.0, 16.0), (65.0, 200.0)
pauses = st.sampled_from((*SHORT, *SHORT, *LONG))  # the long ones take long, and little happens in them
numbers = st.integers(0, 9)
services = st.sampled_from(("kube", "cloudflare"))
faults = st.lists(st.sampled_from(tuple(Fault)), min_size=1, max_size=4)
# Not "service" to a stranger's: that annotation is the mark of our rules (docs/correctness.md).
EDITED = (
    "state",
    "revision",
    "pod-uid",
    "retry-at",
    "hostname",
    "version",
    "service",
    "attempts",
    "since",
    "last-error",
)
STEPS = 20  # of a story, at most
# Seconds and times to look whether the world is well again; the first is longer than the time between two resyncs.
ROUND, ROUNDS = 65.0, 20
QUIET = 130.0  # seconds in which nobody may write
LOOSE_ENDS = 2 * QUIET  # seconds: an election, the grace of a sweep, a regular look
NEWS = 6.0  # seconds: an Event goes out after the record was written, and takes at most five
MOMENT, MOMENTS = 1.7, 200  # seconds and times to look whether nobody is at work: only the budget takes longer


class Bugs(logging.Handler):
    """What the product itself calls a bug: it logs an error of its own, and goes on."""

    def __init__(self, sim: Simulation) -> None:
        super().__init__(logging.ERROR)
        self._monitor = sim.monitor

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._monitor.must(False, f"{record.name}: {record.getMessage()}: {error!r}")


class Story(RuleBasedStateMachine):
    """The rules; `sim` is the stage. Half of the steps are sessions that come and go: without them nothing can fail."""

    @property
    def cast(self) -> Sequence[str]:
        """The sessions that may come."""
        return self.sim.cast if hasattr(self, "sim") else HASHES

    @initialize(
        seed=st.integers(0, 2**32 - 1),
        count=st.integers(1, 3),
        watchlist=st.booleans(),
        neighbour=st.integers(0, len(NEIGHBOURS) - 1),
        originals=st.sets(sessions, max_size=2),
        first=st.sets(sessions),
        outage=st.sampled_from(("", "", "kube", "cloudflare")),
        budget=st.sampled_from(("1000", "1000", "60")),
        pause=pauses,
        can_crowd=st.sampled_from((True, False, False, False, False, False)),
        alone=st.sampled_from((False, False, False, False, False, False, False, True)),
    )
    def begin(
        self,
        *,
        seed: int,
        count: int,
        watchlist: bool,
        neighbour: int,
        originals: set[str],
        first: set[str],
        outage: str,
        budget: str,
        pause: float,
        can_crowd: bool,
        alone: bool = False,
    ) -> None:
        logging.disable(logging.WARNING)
        self.sim = Simulation(seed, watchlist=watchlist, neighbour=neighbour)
        self.sim.environment["CF_REQUEST_BUDGET"] = budget
        self.bugs = Bugs(self.sim)
        logging.getLogger().addHandler(self.bugs)
        self.can_crowd = can_crowd
        if alone:
            self.sim.cast, originals, first = HASHES[:1], set(), set(HASHES[:1])
        for session in sorted(originals):
            self.sim.make_originals(session)
        for session in sorted(first):
            self.sim.create_session(session)
        if outage:
            self.sim.network.down.add(outage)
        for _ in range(count):
            self.sim.start()
        self.sim.run(pause if outage else 0.0)
        self.sim.network.down.clear()

    # The router and the kubelet

    @rule(session=sessions, pause=pauses)
    def a_session_comes(self, session: str, pause: float) -> None:
        self._come(session)
        self.sim.run(pause)

    def _come(self, session: str) -> None:
        if session not in ending.live_sessions(self.sim):
            self.sim.end_pods(session)  # the router waits until the name is free
        self.sim.create_session(session)

    @rule(session=sessions, pause=pauses, is_quick=st.booleans())
    def a_session_goes(self, session: str, pause: float, is_quick: bool) -> None:
        self.sim.delete_session(session)
        if is_quick:
            self.sim.end_pods(session)
        self.sim.run(pause)

    @rule(session=sessions, gap=pauses, pause=pauses)
    def a_session_goes_and_comes_again(self, session: str, gap: float, pause: float) -> None:
        self.sim.delete_session(session)
        self.sim.end_pods(session)
        self.sim.run(gap)
        self.sim.create_session(session)
        self.sim.run(pause)

    @rule(pause=pauses)
    def every_session_turns(self, pause: float) -> None:
        for session in self.sim.cast:
            if session in ending.live_sessions(self.sim):
                self.sim.delete_session(session)
            else:
                self._come(session)
        self.sim.run(pause)

    @rule(session=sessions, pause=pauses)
    def a_second_pod_of_a_session_comes(self, session: str, pause: float) -> None:
        self.sim.create_session(session, name=f"opencode-session-{session}-b")
        self.sim.run(pause)

    @rule(session=sessions, pause=pauses)
    def a_session_is_made_from_a_copy_of_its_pod(self, session: str, pause: float) -> None:
        self.sim.create_copy(session)
        self.sim.run(pause)

    @rule(is_gone=st.booleans(), pause=pauses)
    def the_neighbours_session_comes_or_goes(self, is_gone: bool, pause: float) -> None:
        if not self.sim.alive(is_neighbour=True):
            self.sim.start(is_neighbour=True)
        if is_gone:
            self.sim.delete_session(NEIGHBOUR)
            self.sim.end_pods(NEIGHBOUR)
        else:
            self._come(NEIGHBOUR)
        self.sim.run(pause)

    @rule(session=sessions, pause=pauses)
    def the_router_and_the_kubelet_touch_pods(self, session: str, pause: float) -> None:
        self.sim.touch(session)
        self.sim.end_pods(session)
        self.sim.run(pause)

    # Fate

    @rule(what=st.sampled_from(sorted(REPLICA_FATES)), number=numbers, steps=st.integers(0, 300), pause=pauses)
    def something_happens_to_a_replica(self, what: str, number: int, steps: int, pause: float) -> None:
        if steps:
            self.sim.loop.run_steps(steps)
        able = [*self.sim.alive(), *self.sim.alive(is_neighbour=True)]
        if able:
            self.sim.happened[what] += 1
            REPLICA_FATES[what](self.sim, able[number % len(able)], pause)

    @rule(
        session=sessions,
        state=st.sampled_from([state.value for state in State]),
        steps=st.integers(1, 60),
        is_killed=st.booleans(),
    )
    def everybody_stops_when_a_session_is(self, session: str, state: str, steps: int, is_killed: bool) -> None:
        self.a_session_goes_and_comes_again(session, 0.05, 0.05)
        stop_at(self.sim, session, state, steps, is_killed=is_killed)
        self.sim.run(1.0)

    @rule(
        point=st.sampled_from(sorted(kill_points.every())),
        warm=st.sampled_from((0.0, 0.4, 1.0, 2.0, 4.0)),
        preludes=st.lists(st.sampled_from(sorted(PRELUDES)), max_size=3),
        some=faults,
        are_events_lost=st.booleans(),
        halt=st.sampled_from((math.inf, math.inf, 2.6, 6.0, 16.0, 30.0)),
        pause=pauses,
    )
    def a_replica_is_stopped_at(
        self,
        *,
        point: kill_points.Point,
        warm: float,
        preludes: list[str],
        some: list[Fault],
        are_events_lost: bool,
        halt: float,
        pause: float,
    ) -> None:
        self.sim.troubles.are_events_lost = are_events_lost
        self.every_session_turns(warm)
        for prelude in preludes:
            PRELUDES[prelude](self.sim, some)
        if not self.sim.alive():
            self.sim.start()
        if replica := self.sim.halt_at(point, HALT_STEPS):
            self.sim.happened["stopped at an await"] += 1
            stop_for(self.sim, replica, halt)
        self.sim.calm()
        if not self.sim.alive():
            self.sim.start()
        self.sim.run(pause)

    @rule(skew=st.sampled_from((-3600.0, -30.0, 0.0, 30.0, 3600.0)), pause=pauses)
    def a_replica_comes_late_with_a_clock_of_its_own(self, skew: float, pause: float) -> None:
        if len(self.sim.alive()) < 4:
            self.sim.start(skew=skew)
        self.sim.run(pause)

    @rule(service=services, some=faults, session=sessions, pause=pauses)
    def calls_go_wrong(self, service: str, some: list[Fault], session: str, pause: float) -> None:
        PRELUDES[f"{service} goes wrong"](self.sim, some)
        self.a_session_comes(session, pause)

    @rule(what=st.sampled_from(sorted(NETWORK_FATES)), service=services, session=sessions, pause=pauses)
    def something_happens_to_the_network(self, what: str, service: str, session: str, pause: float) -> None:
        self.sim.happened[what] += 1
        NETWORK_FATES[what](self.sim, service, session, pause)

    @rule(what=st.sampled_from(sorted(CHANGES)), pause=pauses)
    def the_settings_change(self, what: str, pause: float) -> None:
        self.sim.happened[what] += 1
        CHANGES[what](self.sim, pause)

    # Takes a third of a second, twenty times as long as others: not in every story, and once.
    @precondition(lambda self: self.can_crowd)
    @rule(trap=st.sampled_from(sorted(crowds.TRAPS)))
    def a_crowd_comes_and_the_operator_is_misled(self, trap: str) -> None:
        self.can_crowd = False
        self.sim.happened[f"a crowd, and {trap}"] += 1
        crowds.play(self.sim, trap)

    # People and tools

    @rule(what=st.sampled_from(sorted(PEOPLE)), session=sessions, pause=pauses)
    def somebody_does_something(self, what: str, session: str, pause: float) -> None:
        self.sim.happened[f"somebody {what}"] += 1
        PEOPLE[what](self.sim, session)
        self.sim.run(pause)

    @rule(what=st.sampled_from(sorted(LOSSES)), session=sessions, is_gone=st.booleans())
    def a_ready_session_loses_something(self, what: str, session: str, is_gone: bool) -> None:
        if session not in ending.live_sessions(self.sim):
            self._come(session)
        self.sim.happened[f"a Ready session: {what}"] += 1
        LOSSES[what](self.sim, session, is_gone)

    @rule(what=st.sampled_from(sorted(TRIALS)), session=sessions, is_gone=st.booleans())
    def a_ready_session_is_tried(self, what: str, session: str, is_gone: bool) -> None:
        if session not in ending.live_sessions(self.sim):
            self._come(session)
        self.sim.happened[f"a Ready session: {what}"] += 1
        TRIALS[what](self.sim, session, is_gone)

    @rule(times=st.sampled_from((1, 2, 3, 1_000_000)), pause=pauses)
    def a_tool_writes_between_our_read_and_write(self, times: int, pause: float) -> None:
        self.sim.monitor.tell("fate", f"a tool will be faster than the next {times} writes of the tunnel")
        self.sim.intruders = times
        self.sim.happened["a tool between our read and write"] += 1
        self.every_session_turns(pause)

    @rule(
        session=sessions,
        key=st.sampled_from(EDITED),
        text=st.sampled_from((None, "Ready", "nonsense", "9", "2199-01-01T00:00:00Z", "http://router.svc:80")),
        pause=pauses,
    )
    def a_person_edits_the_record(self, session: str, key: str, text: str | None, pause: float) -> None:
        self.sim.happened["an edited record"] += 1
        self.sim.edit_record(session, key, text)
        self.sim.run(pause)

    # What must hold

    @invariant()
    def nothing_forbidden_has_happened(self) -> None:
        if not hasattr(self, "sim"):
            return
        sim = self.sim
        TALLY.steps += 1
        self._must(not sim.monitor.violations, "\n".join(sim.monitor.violations))
        self._must(not sim.loop.complaints, "\n".join(sim.loop.complaints))
        for replica in sim.replicas:
            died = replica.task.done() and (not replica.stop.is_set() or _has_failed(replica.task))
            self._must(not died, f"replica {replica.number} ended by itself, or in another way than it should")
        if not sim.has_missed_many:
            wrong = sorted(sim.held - sim.may_hold)
            self._must(not wrong, f"the brake of {wrong} tripped, but no list lied")

    def teardown(self) -> None:
        if not hasattr(self, "sim"):
            return
        try:
            self._all_is_well_in_the_end()
        finally:
            logging.getLogger().removeHandler(self.bugs)
            self.sim.close()
            TALLY.add(self.sim)
            logging.disable(logging.NOTSET)

    def _all_is_well_in_the_end(self) -> None:
        ending.let_the_faults_stop(self.sim)
        self._all_gets_well()
        self._something_happens_once_more()
        ending.let_the_faults_stop(self.sim)  # people may have been at it meanwhile
        self._all_gets_well()
        self.nothing_forbidden_has_happened()
        self._overwritten_edits_were_reported()
        self._and_then_all_is_quiet()

    def _all_gets_well(self) -> None:
        for _ in range(ROUNDS):
            self.sim.run(ROUND)
            wrong = ending.what_is_wrong(self.sim)
            if not wrong:
                break
            if any(replica.is_alive for replica in self.sim.held_back()):
                self.sim.ask_for_sweep()
        self._must(not wrong, "in the end: " + "; ".join(wrong))

    def _something_happens_once_more(self) -> None:
        """In a world where nothing else hides what comes of it."""
        session = self.sim.random.choice(self.sim.cast)
        what = self.sim.random.choice(("nothing", "is spoilt", "is interrupted", "is held up"))
        self.sim.happened[f"in the end: {what}"] += 1
        match what:
            case "is spoilt":
                PEOPLE[self.sim.random.choice(SPOILERS)](self.sim, session)
            case "is interrupted" | "is held up":
                TRIALS[what](self.sim, session, False)

    def _overwritten_edits_were_reported(self) -> None:
        for replica in self.sim.replicas:
            told = replica.operator.metrics.overwrites._value.get()
            if replica.is_alive or replica.task.done():
                could = self.sim.monitor.jumps[replica.number]
                self._must(told == could, f"replica {replica.number} told of {told} of {could} overwritten edits")

    def _and_then_all_is_quiet(self) -> None:
        # The last one to become Ready may have been so for a blink, with the word of it still to send.
        self.sim.run(LOOSE_ENDS if ending.has_loose_ends(self.sim) else NEWS)
        before = self.sim.monitor.writes.copy()
        self.sim.run(QUIET)
        # Who waits for room in the zone has to try, and to tell; nobody else may.
        tries = ending.tries_for_room(self.sim)
        wrong = [what for what in self.sim.monitor.writes - before if not any(map(what.startswith, tries))]
        self._must(not wrong, f"there are writes although nothing changes: {wrong}")
        for _ in range(MOMENTS):
            stuck = ending.stuck(self.sim)
            if not stuck:
                break
            self.sim.run(MOMENT)
        self._must(not stuck, f"somebody is still at work: {stuck}")

    def _must(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise AssertionError(f"{otherwise}\n\n" + "\n".join(self.sim.monitor.story[-TOLD:]))


def _has_failed(task: asyncio.Task[None]) -> bool:
    return task.cancelled() or task.exception() is not None


def play(examples: int, start: int) -> None:
    """So many stories; the same ones for the same `start`.

    Raises:
        AssertionError: one of them went wrong; its text is the story.
    """
    chosen = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=False,
        database=None,
        print_blob=True,
        phases=PHASES,
        suppress_health_check=list(HealthCheck),
    )
    seed(start)(get_state_machine_test(Story, settings=chosen))()


def play_hunt(point: kill_points.Point, start: int) -> None:
    """One short story, the same for the same `start`, in which a replica is killed at an await, if it comes there.

    Raises:
        AssertionError: it went wrong; its text is the story.
    """
    random, story = Random(start), Story()
    try:
        story.begin(
            seed=start,
            count=random.randint(1, 3),
            watchlist=random.random() < 0.5,
            neighbour=0,
            originals=set(),
            first=set(random.sample(HASHES, random.randint(0, 3))),
            outage="",
            budget=random.choice(("1000", "60")),
            pause=0.0,
            can_crowd=False,
        )
        for _ in range(3):
            story.a_replica_is_stopped_at(
                point=point,
                warm=random.uniform(0.0, 4.0),
                preludes=random.sample(sorted(PRELUDES), random.randint(0, 3)),
                some=random.choices(tuple(Fault), k=random.randint(1, 4)),
                are_events_lost=random.random() < 0.5,
                halt=math.inf,
                pause=random.choice(SHORT),
            )
            story.nothing_forbidden_has_happened()
    finally:
        story.teardown()


# A story that fails is shortened for minutes. An alarm in the middle of a callback would end some task of a replica
# and look like a session that hangs for no reason.
@pytest.mark.timeout(1800)
def test_nothing_is_lost_and_nothing_foreign_is_touched_whatever_happens() -> None:
    play(EXAMPLES, start=1)
