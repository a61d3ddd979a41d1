"""Whatever happens to the replicas, the networks and the world: nothing forbidden on the way, all well in the end.

Each example is a story that hypothesis makes up (and shortens, when it fails): steps of people, routers and fate, with
the scheduling of every single callback in between drawn from a seed. When the story is over, the faults stop, and the
world has to become exactly what it should be, and then quiet.
"""

import logging
import os
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fsm.desired import desired
from tests.property.simulation.network import Fault
from tests.property.simulation.simulation import Replica, Simulation

# Mutants only have to be caught: what shortens the story for people takes minutes.
PHASES = (Phase.generate,) if os.environ.get("MUTANT") else (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
EXAMPLES = int(os.environ.get("EXAMPLES", "100"))
HASHES = ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc")
sessions = st.sampled_from(HASHES)
# How long a step takes before the next one: in the middle of a call, of a walk, of a lease, beyond everything.
pauses = st.sampled_from((0.05, 0.3, 0.7, 1.5, 4.0, 16.0, 65.0, 200.0))
faults = st.lists(st.sampled_from(tuple(Fault)), min_size=1, max_size=4)
ROUND, ROUNDS = 30.0, 40  # seconds and times to look whether the world is well again
QUIET = 130.0  # seconds in which nobody may write


class Story(RuleBasedStateMachine):
    """The rules; `sim` is the stage."""

    @initialize(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 3), watchlist=st.booleans())
    def begin(self, seed: int, count: int, watchlist: bool) -> None:
        logging.disable(logging.CRITICAL)
        self.sim = Simulation(seed, watchlist=watchlist)
        for _ in range(count):
            self.sim.start()

    # The router and the kubelet

    @rule(session=sessions, pause=pauses)
    def a_session_comes(self, session: str, pause: float) -> None:
        if session not in self.sim.live_sessions():
            self.sim.end_pods(session)  # the router waits until the name is free
        self.sim.create_session(session)
        self.sim.run(pause)

    @rule(session=sessions, pause=pauses)
    def a_second_pod_of_a_session_comes(self, session: str, pause: float) -> None:
        self.sim.create_session(session, name=f"opencode-session-{session}-b")
        self.sim.run(pause)

    @rule(session=sessions, pause=pauses, is_quick=st.booleans())
    def a_session_goes(self, session: str, pause: float, is_quick: bool) -> None:
        self.sim.delete_session(session)
        if is_quick:
            self.sim.end_pods(session)
        self.sim.run(pause)

    @rule(session=sessions, pause=pauses)
    def the_kubelet_ends_its_pods(self, session: str, pause: float) -> None:
        self.sim.end_pods(session)
        self.sim.run(pause)

    @rule(session=sessions)
    def the_router_touches_a_session(self, session: str) -> None:
        self.sim.touch(session)

    @rule(pause=pauses)
    def time_passes(self, pause: float) -> None:
        self.sim.run(pause)

    # Replicas

    @rule(number=st.integers(0, 9), pause=pauses)
    def a_replica_is_killed_and_comes_again(self, number: int, pause: float) -> None:
        if replica := self._one(number, lambda replica: replica.is_alive):
            self.sim.kill(replica)
            self.sim.run(pause)
            self.sim.start()

    @rule(number=st.integers(0, 9), pause=pauses)
    def a_replica_stands_still_for_a_while(self, number: int, pause: float) -> None:
        if replica := self._one(number, lambda replica: replica.is_alive and not replica.is_paused):
            self.sim.pause(replica)
            self.sim.run(pause)
            self.sim.resume(replica)

    @rule(number=st.integers(0, 9), pause=pauses)
    def a_replica_is_rolled(self, number: int, pause: float) -> None:
        if replica := self._one(number, lambda replica: replica.is_alive and not replica.is_paused):
            self.sim.terminate(replica)
            self.sim.run(pause)
            self.sim.start()

    @precondition(lambda self: sum(replica.is_alive for replica in self.sim.replicas) < 4)
    @rule(skew=st.sampled_from((-3600.0, -30.0, 0.0, 30.0, 3600.0)), pause=pauses)
    def a_replica_comes_late_with_a_clock_of_its_own(self, skew: float, pause: float) -> None:
        self.sim.start(skew=skew)
        self.sim.run(pause)

    # Networks and APIs

    @rule(service=st.sampled_from(("kube", "cloudflare")), some=faults, pause=pauses)
    def calls_go_wrong(self, service: str, some: list[Fault], pause: float) -> None:
        self.sim.monitor.tell("fate", f"the next calls to {service}: {[fault.value for fault in some]}")
        self.sim.network.faults[service].extend(some)
        self.sim.run(pause)

    @rule(service=st.sampled_from(("kube", "cloudflare")), pause=pauses)
    def an_api_is_down_for_a_while(self, service: str, pause: float) -> None:
        self.sim.monitor.tell("fate", f"{service} is down")
        self.sim.network.down.add(service)
        self.sim.run(pause)
        self.sim.network.down.discard(service)
        self.sim.monitor.tell("fate", f"{service} is back")

    @rule(number=st.integers(0, 9), service=st.sampled_from(("kube", "cloudflare")), pause=pauses)
    def a_replica_is_cut_off(self, number: int, service: str, pause: float) -> None:
        if replica := self._one(number, lambda replica: replica.is_alive):
            self.sim.monitor.tell("fate", f"replica {replica.number} cannot reach {service}")
            self.sim.network.cut.add((replica.number, service))
            self.sim.run(pause)
            self.sim.network.cut.discard((replica.number, service))

    @rule(pause=pauses)
    def watches_break(self, pause: float) -> None:
        self.sim.monitor.tell("fate", "all watches break")
        self.sim.troubles.generation += 1
        self.sim.run(pause)

    @rule(number=st.integers(0, 9), pause=pauses)
    def watches_fall_silent(self, number: int, pause: float) -> None:
        if replica := self._one(number, lambda replica: replica.is_alive):
            self.sim.monitor.tell("fate", f"replica {replica.number} hears nothing")
            self.sim.troubles.silent.add(replica.number)
            self.sim.run(pause)
            self.sim.troubles.silent.discard(replica.number)

    @rule(delay=st.sampled_from((0.0, 0.5, 3.0, 20.0)), copies=st.integers(0, 3), pause=pauses)
    def events_come_late_and_twice(self, delay: float, copies: int, pause: float) -> None:
        self.sim.monitor.tell("fate", f"events come {delay} s late, {copies} of them twice")
        self.sim.troubles.delay = delay
        self.sim.troubles.disturb.extend(["duplicate"] * copies)
        self.sim.run(pause)

    @rule(pause=pauses)
    def the_history_is_compacted(self, pause: float) -> None:
        self.sim.monitor.tell("fate", "the API server forgets its history, watches break")
        self.sim.api.store.shelf.compact()
        self.sim.troubles.generation += 1
        self.sim.run(pause)

    # People and tools

    @rule(reset=st.booleans(), pause=pauses)
    def a_tool_writes_the_tunnel(self, reset: bool, pause: float) -> None:
        self.sim.write_tunnel(reset=reset)
        self.sim.run(pause)

    @rule(times=st.integers(1, 3), pause=pauses)
    def a_tool_writes_between_our_read_and_write(self, times: int, pause: float) -> None:
        self.sim.monitor.tell("fate", f"a tool will be faster than the next {times} writes of the tunnel")
        self.sim.intruders = times
        self.sim.run(pause)

    @rule(session=sessions, path=st.sampled_from(("", "^/x")), pause=pauses)
    def a_tool_takes_a_sessions_rule(self, session: str, path: str, pause: float) -> None:
        self.sim.write_tunnel(session=session, path=path)
        self.sim.run(pause)

    @rule(pause=pauses)
    def the_tool_gives_sessions_rules_back(self, pause: float) -> None:
        self.sim.remove_foreign_rules()
        self.sim.run(pause)

    @rule(session=sessions, pause=pauses)
    def a_person_deletes_a_record(self, session: str, pause: float) -> None:
        self.sim.remove_record(desired(session, self.sim.profile).hostname)
        self.sim.run(pause)

    @rule(session=sessions, pause=pauses)
    def a_person_makes_a_foreign_record(self, session: str, pause: float) -> None:
        self.sim.make_foreign_record(session)
        self.sim.run(pause)

    @rule(pause=pauses)
    def foreign_records_go_again(self, pause: float) -> None:
        self.sim.remove_foreign_records()
        self.sim.run(pause)

    @rule(session=sessions, remove=st.booleans(), pause=pauses)
    def a_person_spoils_a_route(self, session: str, remove: bool, pause: float) -> None:
        self.sim.spoil_route(session, remove=remove)
        self.sim.run(pause)

    @rule(session=sessions, manager=st.sampled_from((None, "somebody", "opencode-router")), pause=pauses)
    def a_person_relabels_a_session(self, session: str, manager: str | None, pause: float) -> None:
        self.sim.relabel(session, manager)
        self.sim.run(pause)

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

    def _one(self, number: int, fits: Callable[[Replica], bool]) -> Replica | None:
        fitting = [replica for replica in self.sim.replicas if fits(replica)]
        return fitting[number % len(fitting)] if fitting else None

    def _must(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise AssertionError(f"{otherwise}\n\n" + "\n".join(self.sim.monitor.story[-120:]))


def test_nothing_is_lost_and_nothing_foreign_is_touched_whatever_happens() -> None:
    run_state_machine_as_test(
        Story,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=15,
            deadline=None,
            print_blob=True,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
        ),
    )
