"""What a session that is Ready has to get over, by name: each trial takes its time, so that its end is seen.

`test_simulation` draws the names; `fates` has what happens at any moment.
"""

from collections.abc import Callable, Mapping

from fsm.session import PREFIX
from tests.property.simulation import kill_points
from tests.property.simulation.fates import FORGETFUL, HALT_STEPS, PEOPLE, stop_for
from tests.property.simulation.loop import ReplicaTask
from tests.property.simulation.network import Fault
from tests.property.simulation.preludes import PRELUDES
from tests.property.simulation.simulation import Replica, Simulation

# The awaits at which time can pass between a read of the tunnel and the write that rests on it.
BETWEEN = sorted(
    point
    for point in kill_points.every()
    if point[0] in ("cloudflare_ops/wishes.py", "controller/living.py")
    or point[:2] == ("cloudflare_ops/client.py", "_once")
)
WAIT = 6.0  # seconds: a document is too old to be written by then
SETTLED, LOOK = 20.0, 65.0  # seconds until a session is Ready, and from one look at everything to the next


def _lost(what: str) -> Callable[[Simulation, str, bool], None]:
    """The session has become Ready, something goes or is somebody else's, and a look at everything finds out."""

    def lose(sim: Simulation, session: str, is_gone: bool) -> None:
        sim.run(SETTLED)
        PEOPLE[what](sim, session)
        sim.run(LOOK)
        if is_gone:
            sim.delete_session(session)
            sim.end_pods(session)
            sim.run(SETTLED)
            sim.remove_foreign_records()
            sim.remove_foreign_rules()
            sim.remove_foreign_routes()

    return lose


SPOILERS = (
    "deletes a record",
    "switches a proxy off",
    "resets the tunnel",
    "rearranges the tunnel",
    "deletes a route",
    "changes a route",
)
TAKERS = (
    "makes a foreign record",
    "makes a record that looks like ours",
    "turns a record into their own",
    "takes a session's rule",
    "makes a rule with a path",
    "makes a foreign route",
)


def _unselected(sim: Simulation, session: str, is_gone: bool) -> None:
    """The session leaves the selection, alive, for longer than a look."""
    sim.run(SETTLED)
    sim.relabel(session, None)
    sim.run(LOOK)
    sim.relabel(session, "opencode-router")


def _unheard(sim: Simulation, session: str, is_gone: bool) -> None:
    """The session goes, and comes again before Cloudflare can be reached; nobody hears of it."""
    sim.run(SETTLED)
    sim.monitor.tell("fate", "cloudflare is down, and soon nobody hears anything")
    sim.network.down.add("cloudflare")
    sim.delete_session(session)
    sim.end_pods(session)
    sim.run(1.0)
    sim.troubles.silent.update(replica.number for replica in sim.replicas)
    sim.create_session(session)
    sim.run(SETTLED)
    sim.network.down.discard("cloudflare")
    sim.run(SETTLED if is_gone else LOOK)
    sim.troubles.silent.clear()


def _slowly_gone(sim: Simulation, session: str, is_gone: bool) -> None:
    """All sessions go at once while the API server takes seconds for each answer: removals wait for their turn, and one
    session comes back before it has come."""
    for other in sim.cast:
        if not sim.pods_of(other):
            sim.create_session(other)
    sim.run(SETTLED)
    PRELUDES["kube is slow"](sim, [])
    for other in sim.cast:
        sim.delete_session(other)
        sim.end_pods(other)
    sim.run(sim.random.uniform(2.0, 12.0))
    if not is_gone:
        sim.create_session(session)
    sim.run(SETTLED)
    sim.network.slow.clear()


def _outlived(sim: Simulation, session: str, is_gone: bool) -> None:
    """The session's Pod goes on going (its node is lost), beside the one that has taken its place."""
    sim.run(SETTLED)
    sim.delete_session(session)
    sim.create_session(session, name=f"opencode-session-{session}-c")
    sim.calm()
    if not sim.alive():
        sim.start()
    left = 3
    while left and not _is_served(sim, session):
        sim.run(LOOK)
        # Whose budget is used up waits, up to five minutes, with whatever it had begun.
        left = 3 if any(replica.operator.base.budget.left < 2 for replica in sim.alive()) else left - 1
    sim.monitor.must(_is_served(sim, session), f"{session} waits for its former Pod to end")


def _disinherited(sim: Simulation, session: str, is_gone: bool) -> None:
    """In the middle of the session's journey the operators get another owner id, and are not told the former one."""
    sim.delete_session(session)
    sim.end_pods(session)
    sim.run(SETTLED)
    sim.create_session(session)
    wanted = sim.random.choice(("DnsCreated", "TunnelRuleAdded"))
    for _ in range(100):
        annotations = [pod["metadata"].get("annotations") or {} for pod in sim.pods_of(session)]
        if any(each.get(PREFIX + "state") == wanted for each in annotations):
            break
        sim.run(0.05)
    for replica in sim.alive():
        sim.kill(replica)
    sim.change(**FORGETFUL)
    sim.start()
    sim.run(SETTLED)
    if is_gone:
        sim.delete_session(session)
        sim.end_pods(session)
        sim.run(SETTLED)


def _is_served(sim: Simulation, session: str) -> bool:
    """Whether the operator has begun with the session's live Pod, if there is one."""
    pods = (pod["metadata"] for pod in sim.pods_of(session))
    live = [pod.get("annotations") or {} for pod in pods if "deletionTimestamp" not in pod]
    return any(PREFIX + "state" in annotations for annotations in live) or not live


def _interrupted(
    halt: Callable[[Simulation], Replica | None], meanwhile: Callable[[Simulation, Replica], None]
) -> Callable[[Simulation, str, bool], None]:
    """Sessions come and go, and something happens to the process between a read and the write that rests on it."""

    def interrupt(sim: Simulation, session: str, is_gone: bool) -> None:
        sim.run(SETTLED)
        for other in sim.cast:
            sim.turn(other)
        if replica := halt(sim):
            meanwhile(sim, replica)
        sim.run(SETTLED)

    return interrupt


def _stopped(sim: Simulation, replica: Replica) -> None:
    stop_for(sim, replica, sim.random.choice((2.6, 2.6, 3.5, 16.0)))


def _told_to_wait(sim: Simulation, replica: Replica) -> None:
    """The answer to another call says to send nothing for a time."""
    replica.operator.base.budget.block(WAIT)


def _halted_at_a_read(sim: Simulation) -> Replica | None:
    sim.monitor.reading.clear()
    return sim.halt(lambda task: sim.monitor.reading.get(task.replica, False), "reads the tunnel", HALT_STEPS)


def _halted_between(sim: Simulation) -> Replica | None:
    replica = sim.halt_at(sim.random.choice(BETWEEN), HALT_STEPS)
    sim.loop.run_steps(sim.random.randint(1, 60))  # the answer may be there, and only be waited for
    return replica


def _halted_at_a_live_read(sim: Simulation) -> Replica | None:
    """It has just heard who lives, and has not yet looked at it: the routes, the rule or the record are to go."""
    left = sim.random.randint(1, 3)

    def is_answered(task: ReplicaTask) -> bool:
        nonlocal left
        left -= task.get_name() == "live read" and task.done()
        return left == 0

    return sim.halt(is_answered, "has read who lives", HALT_STEPS)


def _unanswered(fault: Fault) -> Callable[[Simulation, str, bool], None]:
    """The session comes into a quiet world, in which one single request goes wrong."""

    def lose(sim: Simulation, session: str, is_gone: bool) -> None:
        sim.delete_session(session)
        sim.end_pods(session)
        sim.run(LOOK)
        sim.monitor.tell("fate", f"the next call to cloudflare: {fault.value}")
        sim.network.faults["cloudflare"].append(fault)
        sim.create_session(session)
        sim.run(SETTLED)

    return lose


LOSSES: Mapping[str, Callable[[Simulation, str, bool], None]] = {what: _lost(what) for what in SPOILERS + TAKERS}
TRIALS: Mapping[str, Callable[[Simulation, str, bool], None]] = {
    **{fault.value: _unanswered(fault) for fault in (Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.LATE_EFFECT)},
    "is interrupted": _interrupted(_halted_between, _stopped),
    "is held up": _interrupted(_halted_at_a_read, _told_to_wait),
    "is interrupted by an answer": _interrupted(_halted_at_a_live_read, _stopped),
    "leaves the selection": _unselected,
    "comes back unheard": _unheard,
    "goes while answers take seconds": _slowly_gone,
    "is inherited by another owner": _disinherited,
    "is outlived by its former Pod": _outlived,
}
