"""What can happen, by name: to a replica, to the networks, and what people and tools do.

`test_simulation` draws the names; each function tells what it does in the story.
"""

import math
from collections.abc import Callable, Mapping

from fsm.session import PREFIX
from tests.property.simulation import moving
from tests.property.simulation.preludes import PRELUDES
from tests.property.simulation.simulation import Replica, Simulation

HALT_STEPS = 1_500  # callbacks in which an await has to be met: a second of a busy replica
WATCHED = 400  # handfuls of callbacks: more than a session needs to become Ready
OVER = 25.0  # seconds: the lease of who stopped has run out, and another one has used it


def _meanwhile(sim: Simulation, seconds: float) -> None:
    """Time passes, and in the middle of it a session comes or goes, or somebody does something: who is stopped, cut off
    or deaf goes on in another world than it knew."""
    sim.run(seconds / 2)
    session, dice = sim.random.choice(sim.cast), sim.random.random()
    if dice < 0.6:
        sim.turn(session)
    elif dice < 0.8:
        PEOPLE[sim.random.choice(sorted(PEOPLE))](sim, session)
    sim.run(seconds / 2)


def _killed(sim: Simulation, replica: Replica, pause: float) -> None:
    sim.kill(replica)
    _meanwhile(sim, pause)
    sim.start(is_neighbour=replica.is_neighbour)


def _paused(sim: Simulation, replica: Replica, pause: float) -> None:
    stop_for(sim, replica, pause)
    sim.run(0.5)


def _rolled(sim: Simulation, replica: Replica, pause: float) -> None:
    sim.terminate(replica)
    _meanwhile(sim, pause)
    sim.start(is_neighbour=replica.is_neighbour)


def _cut_off(service: str) -> Callable[[Simulation, Replica, float], None]:
    def cut(sim: Simulation, replica: Replica, pause: float) -> None:
        sim.monitor.tell("fate", f"replica {replica.number} cannot reach {service}")
        sim.network.cut.add((replica.number, service))
        _meanwhile(sim, pause)
        sim.network.cut.discard((replica.number, service))

    return cut


def _deafened(sim: Simulation, replica: Replica, pause: float) -> None:
    sim.monitor.tell("fate", f"replica {replica.number} hears nothing (its watches are half open)")
    sim.troubles.silent.add(replica.number)
    _meanwhile(sim, pause)
    sim.troubles.silent.discard(replica.number)


def _taken_over_deaf(sim: Simulation, replica: Replica, pause: float) -> None:
    sim.monitor.tell("fate", "nobody hears anything, and who leads is killed")
    sim.troubles.silent.update(other.number for other in sim.replicas)
    _meanwhile(sim, min(pause, 16.0))
    leader = sim.monitor.holder(replica.number)
    sim.kill(sim.replicas[leader] if leader >= 0 and sim.replicas[leader].is_alive else replica)
    _meanwhile(sim, pause)
    sim.troubles.silent.clear()
    sim.start(is_neighbour=replica.is_neighbour)


def _blinded(sim: Simulation, replica: Replica, pause: float) -> None:
    sim.monitor.tell("fate", f"replica {replica.number} may not list Pods any more, and its watches break")
    sim.troubles.blind.add(replica.number)
    sim.troubles.generation += 1
    _meanwhile(sim, pause)
    sim.troubles.blind.discard(replica.number)


REPLICA_FATES: Mapping[str, Callable[[Simulation, Replica, float], None]] = {
    "killed": _killed,
    "paused": _paused,
    "rolled": _rolled,
    "cut off from kube": _cut_off("kube"),
    "cut off from cloudflare": _cut_off("cloudflare"),
    "deafened": _deafened,
    "taken over by the deaf": _taken_over_deaf,
    "blinded": _blinded,
}


def stop_for(sim: Simulation, replica: Replica, seconds: float) -> None:
    """A replica stops where it is, for so long, or for ever (`math.inf`)."""
    if math.isinf(seconds):
        sim.kill(replica)
    else:
        sim.pause(replica)
        _meanwhile(sim, seconds)
        sim.resume(replica)


def stop_at(sim: Simulation, session: str, state: str, steps: int, *, is_killed: bool) -> None:
    """Every replica stops so many callbacks after the session's record says `state`, and another one goes on; those
    that were not killed come back when it has long had the lease."""
    for _ in range(WATCHED):
        if any(pod["metadata"]["annotations"].get(PREFIX + "state") == state for pod in sim.pods_of(session)):
            break
        sim.loop.run_steps(5)
    sim.loop.run_steps(steps)
    stopped = sim.alive()
    for replica in stopped:
        (sim.kill if is_killed else sim.pause)(replica)
    sim.start()
    if not is_killed:
        _meanwhile(sim, OVER)
        for replica in stopped:
            sim.resume(replica)


def _slowed(sim: Simulation, service: str, session: str, pause: float) -> None:
    PRELUDES[f"{service} is slow"](sim, [])
    sim.turn(session)
    _meanwhile(sim, pause)
    sim.network.slow.clear()


def _revoked(sim: Simulation, service: str, session: str, pause: float) -> None:
    PRELUDES["the token is revoked"](sim, [])
    _meanwhile(sim, pause)
    sim.network.is_revoked = False
    sim.monitor.tell("fate", "the token is good again")


def _down(sim: Simulation, service: str, session: str, pause: float) -> None:
    sim.monitor.tell("fate", f"{service} is down")
    sim.network.down.add(service)
    _meanwhile(sim, pause)
    sim.network.down.discard(service)
    sim.monitor.tell("fate", f"{service} is back")


def _watches_break(sim: Simulation, service: str, session: str, pause: float) -> None:
    sim.monitor.tell("fate", "all watches break")
    sim.troubles.generation += 1
    sim.run(pause)


def _history_goes(sim: Simulation, service: str, session: str, pause: float) -> None:
    sim.monitor.tell("fate", "the API server forgets its history, and all watches break")
    sim.api.store.shelf.compact()
    _watches_break(sim, service, session, pause)


def _missed(sim: Simulation, service: str, session: str, pause: float) -> None:
    sim.monitor.tell("fate", f"the API server is away while {session} goes, and has forgotten it afterwards")
    sim.network.down.add("kube")
    sim.troubles.generation += 1
    sim.run(pause)
    sim.delete_session(session)
    sim.end_pods(session)
    sim.api.store.shelf.compact()
    sim.network.down.discard("kube")


def _unseen(sim: Simulation, service: str, session: str, pause: float) -> None:
    sim.monitor.tell("fate", f"all replicas are killed, and nobody sees {session} go")
    for replica in sim.alive():
        sim.kill(replica)
    sim.delete_session(session)
    sim.end_pods(session)
    sim.start()
    sim.run(pause)


def _events_late(sim: Simulation, service: str, session: str, pause: float) -> None:
    sim.monitor.tell("fate", "events come late, some twice, and some again when they are long over")
    sim.troubles.delay = 3.0
    sim.troubles.disturb.extend(["duplicate", "replay"] * 6)
    sim.run(pause)


def _events_in_time(sim: Simulation, service: str, session: str, pause: float) -> None:
    sim.monitor.tell("fate", "events come in time again")
    sim.troubles.delay = 0.0
    sim.run(pause)


NETWORK_FATES: Mapping[str, Callable[[Simulation, str, str, float], None]] = {
    "an API is down": _down,
    "watches break": _watches_break,
    "the history goes": _history_goes,
    "a deletion is missed": _missed,
    "nobody is there": _unseen,
    "events are late": _events_late,
    "events are in time": _events_in_time,
    "the token is revoked": _revoked,
    "an API is slow": _slowed,
}


def _record_and_pod(sim: Simulation, session: str) -> None:
    sim.remove_record(sim.hostname_of(session))
    sim.delete_session(session)


PEOPLE: Mapping[str, Callable[[Simulation, str], None]] = {
    "writes the tunnel": lambda sim, _: sim.write_tunnel(),
    "rearranges the tunnel": lambda sim, _: sim.rearrange_tunnel(),
    "resets the tunnel": lambda sim, _: sim.write_tunnel(reset=True),
    "takes a session's rule": lambda sim, session: sim.write_tunnel(session=session),
    "makes a rule with a path": lambda sim, session: sim.write_tunnel(session=session, path="^/x"),
    "gives the rules back": lambda sim, _: sim.remove_foreign_rules(),
    "deletes a record": lambda sim, session: sim.remove_record(sim.hostname_of(session)),
    "deletes a record and its Pod": _record_and_pod,
    "makes a foreign record": lambda sim, session: sim.make_foreign_record(session),
    "makes a record that looks like ours": lambda sim, session: sim.make_lookalike(session),
    "turns a record into their own": lambda sim, session: sim.turn_record(session),
    "takes foreign records away": lambda sim, _: sim.remove_foreign_records(),
    "switches a proxy off": lambda sim, session: sim.dim_record(session),
    "deletes a route": lambda sim, session: sim.spoil_route(session, remove=True),
    "changes a route": lambda sim, session: sim.spoil_route(session, remove=False),
    "makes a foreign route": lambda sim, session: sim.make_foreign_route(session),
    "takes foreign routes away": lambda sim, _: sim.remove_foreign_routes(),
    "takes a label away": lambda sim, session: sim.relabel(session, None),
    "gives a label back": lambda sim, session: sim.relabel(session, "opencode-router"),
    "wipes a record": lambda sim, session: sim.wipe_record(session),
    "asks for a sweep": lambda sim, _: sim.ask_for_sweep(),
    "fills the zone": lambda sim, _: sim.fill_quota(),
    "labels a Pod with no hash": lambda sim, _: sim.create_invalid(),
    "makes room in the zone": lambda sim, _: sim.raise_quota(),
}


def _rolled_out(sim: Simulation, pause: float) -> None:
    """What a Deployment does: the new one first, then the old ones go."""
    former = sim.alive()
    sim.start()
    sim.run(pause)
    for replica in former:
        sim.terminate(replica)
    sim.run(pause)


def _changed(**changes: str) -> Callable[[Simulation, float], None]:
    def change(sim: Simulation, pause: float) -> None:
        sim.change(**changes)
        _rolled_out(sim, pause)

    return change


def _owner_is_changed_back(sim: Simulation, pause: float) -> None:
    if former := sim.environment.get("OWNER_ID_PREVIOUS"):
        _changed(OWNER_ID=former.partition(",")[0])(sim, pause)


def _moved(sim: Simulation, pause: float) -> None:
    moving.move(sim)
    for neighbour in sim.alive(is_neighbour=True):
        sim.terminate(neighbour)
    _rolled_out(sim, pause)


# Another owner id, and nobody is told the former one.
FORGETFUL = {"OWNER_ID": "heir-{number}", "OWNER_ID_PREVIOUS": ""}
CHANGES: Mapping[str, Callable[[Simulation, float], None]] = {
    "suffix": _changed(ROUTE_SUFFIX="-x"),
    "suffix, back": _changed(ROUTE_SUFFIX="-oc"),
    "service": _changed(ROUTER_SERVICE_URL="http://other.svc:80"),
    "owner": _changed(OWNER_ID="second-{number}"),
    "owner, back": _owner_is_changed_back,
    "owner, the former one forgotten": _changed(**FORGETFUL),
    "tunnel": _moved,
    "selector": _changed(POD_LABEL_SELECTOR="app.kubernetes.io/managed-by in (opencode-router,other)"),
    "everything": _changed(ROUTE_SUFFIX="-y", ROUTER_SERVICE_URL="http://third.svc:80", OWNER_ID="third-{number}"),
}
