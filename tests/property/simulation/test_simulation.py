"""Whatever happens to the replicas, the networks and the world: nothing forbidden on the way, all well in the end.

Each example is a story that hypothesis makes up (and shortens, when it fails): steps of people, routers and fate, with
the scheduling of every single callback in between drawn from a seed. When the story is over, the faults stop, and the
world has to become exactly what it should be, and then quiet.
"""

import logging
import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.property.simulation.fates import NETWORK_FATES, PEOPLE, REPLICA_FATES
from tests.property.simulation.network import Fault
from tests.property.simulation.simulation import Simulation

# Mutants only have to be caught: what shortens the story for people takes minutes.
PHASES = (Phase.generate,) if os.environ.get("MUTANT") else (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
EXAMPLES = int(os.environ.get("EXAMPLES", "100"))
HASHES = ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc")
sessions = st.sampled_from(HASHES)
# How long a step takes before the next one: in the middle of a call, of a walk, of a lease, beyond everything.
pauses = st.sampled_from((0.05, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5, 4.0, 9.0, 16.0, 65.0, 200.0))
numbers = st.integers(0, 9)
services = st.sampled_from(("kube", "cloudflare"))
faults = st.lists(st.sampled_from(tuple(Fault)), min_size=1, max_size=4)
STEPS = 20  # of a story, at most
ROUND, ROUNDS = 30.0, 40  # seconds and times to look whether the world is well again
QUIET = 130.0  # seconds in which nobody may write


class Story(RuleBasedStateMachine):
    """The rules; `sim` is the stage. Half of the steps are sessions that come and go: without them nothing can fail."""

    @initialize(
        seed=st.integers(0, 2**32 - 1), count=st.integers(1, 3), watchlist=st.booleans(), first=st.sets(sessions)
    )
    def begin(self, seed: int, count: int, watchlist: bool, first: set[str]) -> None:
        logging.disable(logging.CRITICAL)
        self.sim = Simulation(seed, watchlist=watchlist)
        for session in sorted(first):
            self.sim.create_session(session)
        for _ in range(count):
            self.sim.start()

    # The router and the kubelet

    @rule(session=sessions, pause=pauses)
    def a_session_comes(self, session: str, pause: float) -> None:
        if session not in self.sim.live_sessions():
            self.sim.end_pods(session)  # the router waits until the name is free
        self.sim.create_session(session)
        self.sim.run(pause)

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
        for session in HASHES:
            if session in self.sim.live_sessions():
                self.sim.delete_session(session)
            else:
                self.sim.end_pods(session)
                self.sim.create_session(session)
        self.sim.run(pause)

    @rule(session=sessions, pause=pauses)
    def a_second_pod_of_a_session_comes(self, session: str, pause: float) -> None:
        self.sim.create_session(session, name=f"opencode-session-{session}-b")
        self.sim.run(pause)

    @rule(session=sessions, pause=pauses)
    def the_router_and_the_kubelet_touch_pods(self, session: str, pause: float) -> None:
        self.sim.touch(session)
        self.sim.end_pods(session)
        self.sim.run(pause)

    # Fate

    @rule(what=st.sampled_from(sorted(REPLICA_FATES)), number=numbers, pause=pauses)
    def something_happens_to_a_replica(self, what: str, number: int, pause: float) -> None:
        able = [replica for replica in self.sim.replicas if replica.is_alive]
        if able:
            REPLICA_FATES[what](self.sim, able[number % len(able)], pause)

    @rule(skew=st.sampled_from((-3600.0, -30.0, 0.0, 30.0, 3600.0)), pause=pauses)
    def a_replica_comes_late_with_a_clock_of_its_own(self, skew: float, pause: float) -> None:
        if sum(replica.is_alive for replica in self.sim.replicas) < 4:
            self.sim.start(skew=skew)
        self.sim.run(pause)

    @rule(service=services, some=faults, session=sessions, pause=pauses)
    def calls_go_wrong(self, service: str, some: list[Fault], session: str, pause: float) -> None:
        self.sim.monitor.tell("fate", f"the next calls to {service}: {[fault.value for fault in some]}")
        self.sim.network.faults[service].extend(some)
        self.a_session_comes(session, pause)

    @rule(what=st.sampled_from(sorted(NETWORK_FATES)), service=services, session=sessions, pause=pauses)
    def something_happens_to_the_network(self, what: str, service: str, session: str, pause: float) -> None:
        NETWORK_FATES[what](self.sim, service, session, pause)

    # People and tools

    @rule(what=st.sampled_from(sorted(PEOPLE)), session=sessions, pause=pauses)
    def somebody_does_something(self, what: str, session: str, pause: float) -> None:
        PEOPLE[what](self.sim, session)
        self.sim.run(pause)

    @rule(times=st.integers(1, 3), pause=pauses)
    def a_tool_writes_between_our_read_and_write(self, times: int, pause: float) -> None:
        self.sim.monitor.tell("fate", f"a tool will be faster than the next {times} writes of the tunnel")
        self.sim.intruders = times
        self.every_session_turns(pause)

    @rule(
        session=sessions,
        key=st.sampled_from(("state", "revision", "pod-uid", "retry-at", "hostname", "version")),
        text=st.sampled_from((None, "Ready", "nonsense", "9", "2199-01-01T00:00:00Z")),
        pause=pauses,
    )
    def a_person_edits_the_record(self, session: str, key: str, text: str | None, pause: float) -> None:
        self.sim.edit_record(session, key, text)
        self.sim.run(pause)

    # What must hold

    @invariant()
    def nothing_forbidden_has_happened(self) -> None:
        if hasattr(self, "sim"):
            self._must(not self.sim.monitor.violations, "\n".join(self.sim.monitor.violations))
            self._must(not self.sim.loop.complaints, "\n".join(self.sim.loop.complaints))
            for replica in self.sim.replicas:
                died = replica.task.done() and not replica.stop.is_set()
                self._must(not died, f"replica {replica.number} ended by itself")

    def _overwritten_edits_were_reported(self) -> None:
        for replica in self.sim.replicas:
            told = replica.operator.metrics.overwrites._value.get()
            if replica.is_alive:
                could = self.sim.monitor.jumps[replica.number]
                self._must(told == could, f"replica {replica.number} told of {told} of {could} overwritten edits")

    def teardown(self) -> None:
        if not hasattr(self, "sim"):
            return
        try:
            self._all_is_well_in_the_end()
        finally:
            self.sim.close()
            logging.disable(logging.NOTSET)

    def _all_is_well_in_the_end(self) -> None:
        self._let_the_faults_stop()
        for _ in range(ROUNDS):
            self.sim.run(ROUND)
            wrong = self._what_is_wrong()
            if not wrong:
                break
        self._must(not wrong, "in the end: " + "; ".join(wrong))
        self.nothing_forbidden_has_happened()
        self._overwritten_edits_were_reported()
        before = self.sim.monitor.writes
        self.sim.run(QUIET)
        self._must(self.sim.monitor.writes == before, "there are writes although nothing changes")

    def _let_the_faults_stop(self) -> None:
        self.sim.monitor.tell("fate", "all faults stop")
        self.sim.calm()
        for replica in self.sim.replicas:
            if replica.is_paused:
                self.sim.resume(replica)
        if not any(replica.is_alive for replica in self.sim.replicas):
            self.sim.start()
        for session in HASHES:
            self.sim.end_pods(session)
            self.sim.relabel(session, "opencode-router")

    def _what_is_wrong(self) -> list[str]:
        wrong = []
        live, left = self.sim.live_sessions(), self.sim.ours_left()
        for session in live:
            record = self.sim.record_of(session)
            if problem := self.sim.conflict_of(session):
                if not record.get("last-error", "").startswith(problem):
                    wrong.append(f"{session} does not say {problem}: {record}")
            elif record.get("state") != "Ready":
                wrong.append(f"{session} is not Ready: {record}")
            elif left.get(session) != self.sim.wanted(session):
                wrong.append(f"{session} has {left.get(session)}")
        wrong += [f"{session} is dead and has {left[session]}" for session in left.keys() - live]
        return wrong

    def _must(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise AssertionError(f"{otherwise}\n\n" + "\n".join(self.sim.monitor.story[-120:]))


def test_nothing_is_lost_and_nothing_foreign_is_touched_whatever_happens() -> None:
    run_state_machine_as_test(
        Story,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            print_blob=True,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
        ),
    )
