"""Many sessions at once, and what makes an operator believe that none of them has a Pod: the sweep's brake must hold.

`test_simulation` draws one of `TRAPS`, at most once in a story: they take long.
"""

from collections.abc import Callable, Mapping

from sandbox.kubeclient import NAMESPACE
from tests.property.simulation.ending import ours_left
from tests.property.simulation.names import CROWD, NEIGHBOUR
from tests.property.simulation.simulation import Simulation

SETTLED, TRAPPED = 60.0, 400.0  # seconds; the second is several looks and more than the grace of an orphan
ENOUGH = 7  # sessions, for the brake to be in no doubt


def play(sim: Simulation, trap: str) -> None:
    """A crowd comes, the operators are replaced by one in the trap, and then by a good one; the crowd goes."""
    for session in CROWD:
        sim.create_session(session)
    if sim.profile_of(NEIGHBOUR).owner == sim.profile_of(CROWD[0]).owner:
        # It sees nobody's Pods behind so many records of what it takes for its own.
        sim.may_hold.update(replica.number for replica in sim.alive(is_neighbour=True))
    sim.run(SETTLED)
    if len(ours_left(sim).keys() & set(CROWD)) >= ENOUGH:
        TRAPS[trap](sim)
    sim.run(SETTLED / 2)
    for session in CROWD:
        sim.delete_session(session)
        sim.end_pods(session)
    sim.run(SETTLED / 2)
    # Who saw them go may be gone as well before it was done: then they are orphans, and too many.
    sim.has_missed_many |= bool(ours_left(sim).keys() & set(CROWD))


def _started_with(**changes: str) -> Callable[[Simulation], None]:
    def trapped(sim: Simulation) -> None:
        for replica in sim.alive():
            sim.terminate(replica)
        sim.run(20.0)
        wrong = sim.start(changes)
        sim.may_hold.add(wrong.number)
        sim.run(TRAPPED)
        sim.terminate(wrong)
        sim.run(5.0)
        sim.start()

    return trapped


def _nowhere(sim: Simulation) -> None:
    # The owner id of whose records these are: a former one's few left-overs would be below the brake.
    owner = sim.environment.get("OWNER_ID", NAMESPACE)
    _started_with(WATCH_NAMESPACE="nowhere", OWNER_ID=owner)(sim)


def _replaced(sim: Simulation, troubled: set[int], trouble: str) -> int:
    """Everybody is killed, and whoever comes then has this trouble for a long time; its number."""
    for replica in sim.alive():
        sim.kill(replica)
    number = len(sim.replicas)
    sim.monitor.tell("fate", f"replica {number} {trouble}")
    troubled.add(number)
    sim.start()
    sim.run(TRAPPED)
    return number


def _blind(sim: Simulation) -> None:
    blind = _replaced(sim, sim.troubles.blind, "will not be allowed to list Pods")
    sim.troubles.blind.discard(blind)


def _misled(sim: Simulation) -> None:
    misled = _replaced(sim, sim.troubles.misled, "will be told of no Pod by its selector")
    sim.may_hold.add(misled)
    sim.terminate(sim.replicas[misled])
    sim.run(5.0)
    sim.start()


def _all_missed(sim: Simulation) -> None:
    """Nobody sees that the whole crowd goes: held until a person asks (`ending`)."""
    for replica in sim.alive():
        sim.kill(replica)
    for session in CROWD:
        sim.delete_session(session)
        sim.end_pods(session)
    sim.api.store.shelf.compact()
    sim.has_missed_many = True
    sim.start()
    sim.run(TRAPPED)


TRAPS: Mapping[str, Callable[[Simulation], None]] = {
    "a namespace without Pods": _nowhere,
    "a selector that matches nothing": _started_with(POD_LABEL_SELECTOR="app=nobody"),
    "no right to list Pods": _blind,
    "lists that tell of nobody": _misled,
    "everything missed": _all_missed,
}
