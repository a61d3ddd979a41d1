"""What makes replicas come to an await at which they rarely stand, by name; `Simulation.calm` ends what lasts.

`test_simulation` draws some of them before it stops a replica at an await. Those that need them are given faults, too.
"""

from collections.abc import Callable, Mapping

from tests.property.simulation.network import Fault
from tests.property.simulation.simulation import Simulation

Prelude = Callable[[Simulation, list[Fault]], None]

SLOW = 3.0  # seconds: longer than a read of the tunnel counts, shorter than a time limit


def _all_stop(sim: Simulation, _: list[Fault]) -> None:
    for replica in sim.alive():
        sim.terminate(replica)
    sim.start()


def _all_are_killed(sim: Simulation, _: list[Fault]) -> None:
    for replica in sim.alive():
        sim.kill(replica)
    sim.start()


def _nobody_has_led(sim: Simulation, _: list[Fault]) -> None:
    for replica in sim.alive():
        sim.kill(replica)
    sim.remove_lease()
    sim.start()


def _nobody_reaches(service: str) -> Prelude:
    def cut(sim: Simulation, _: list[Fault]) -> None:
        sim.monitor.tell("fate", f"no replica reaches {service} any more")
        sim.network.cut.update((replica.number, service) for replica in sim.alive())

    return cut


def _go_wrong(service: str) -> Prelude:
    def go_wrong(sim: Simulation, some: list[Fault]) -> None:
        sim.monitor.tell("fate", f"the next calls to {service}: {[fault.value for fault in some]}")
        sim.network.faults[service].extend(some)

    return go_wrong


def _slow(service: str) -> Prelude:
    def slow(sim: Simulation, _: list[Fault]) -> None:
        sim.monitor.tell("fate", f"the answers of {service} take seconds")
        sim.network.slow[service] = SLOW

    return slow


def _watches_late(sim: Simulation, _: list[Fault]) -> None:
    sim.monitor.tell("fate", "all watches break, and events come late")
    sim.troubles.generation += 1
    sim.troubles.delay = 3.0


def _token_revoked(sim: Simulation, _: list[Fault]) -> None:
    sim.monitor.tell("fate", "the token is revoked")
    sim.network.is_revoked = True


def _records_edited(sim: Simulation, _: list[Fault]) -> None:
    for session in sim.cast:
        sim.edit_record(session, "revision", "9")


def _records_wiped(sim: Simulation, _: list[Fault]) -> None:
    for session in sim.cast:
        sim.wipe_record(session)


def _routes_changed(sim: Simulation, _: list[Fault]) -> None:
    for session in sim.cast:
        sim.spoil_route(session, remove=sim.random.random() < 0.3)


def _routes_in_doubt(sim: Simulation, _: list[Fault]) -> None:
    """No write of a route arrives, so that those who try wait longer and longer; a round comes meanwhile."""
    sim.monitor.tell("fate", "no write of a route arrives any more")
    sim.troubles.are_routes_lost = True
    sim.run(sim.random.uniform(1.0, 8.0))
    sim.ask_for_sweep()


PRELUDES: Mapping[str, Prelude] = {
    "all stop": _all_stop,
    "all are killed": _all_are_killed,
    "nobody has ever led": _nobody_has_led,
    "nobody reaches kube": _nobody_reaches("kube"),
    "nobody reaches cloudflare": _nobody_reaches("cloudflare"),
    "kube goes wrong": _go_wrong("kube"),
    "cloudflare goes wrong": _go_wrong("cloudflare"),
    "kube is slow": _slow("kube"),
    "cloudflare is slow": _slow("cloudflare"),
    "watches are late": _watches_late,
    "the token is revoked": _token_revoked,
    "records are edited": _records_edited,
    "records are wiped": _records_wiped,
    "routes are changed": _routes_changed,
    "routes are in doubt": _routes_in_doubt,
    "a sweep is asked for": lambda sim, _: sim.ask_for_sweep(),
    "the zone is full": lambda sim, _: sim.fill_quota(),
    "a hash is no hash": lambda sim, _: sim.create_invalid(),
}
