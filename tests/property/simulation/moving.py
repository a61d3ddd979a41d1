"""The operators get another tunnel, or another owner id and are not told the former one: what was made before is
nobody's any more, and a person has to say so.

`fates` moves; `ending` asks what was stranded, and takes the remedy that the conflict names.
"""

from collections.abc import Mapping
from typing import Any

from cloudflare_ops.ownership import parse
from fsm.session import OWNER_LABEL, hash_of_hostname, hash_of_route
from sandbox.cloudflare.tunnels import Tunnel
from sandbox.stage import FOREIGN_TUNNEL
from tests.property.simulation.scene import NOW
from tests.property.simulation.simulation import Simulation

OTHER_TUNNEL = "11111111-2222-4333-8444-555555555555"


def move(sim: Simulation) -> None:
    """A person makes another tunnel, with the same foreign rules, for every operator that starts from now on."""
    sim.monitor.tell("person", "makes another tunnel")
    if OTHER_TUNNEL not in sim.world.tunnels:
        sim.world.tunnels[OTHER_TUNNEL] = Tunnel(OTHER_TUNNEL)
        sim.world.tunnels[OTHER_TUNNEL].configure(FOREIGN_TUNNEL, NOW)
    sim.world.tunnel_id = OTHER_TUNNEL
    for environment in (sim.environment, sim.neighbour):
        environment["CF_TUNNEL_ID"] = OTHER_TUNNEL


def stranded(sim: Simulation) -> list[Mapping[str, Any]]:
    """The records of sessions' names that lead to the former tunnel, or are of a forgotten owner."""
    former = {f"{tunnel}.cfargotunnel.com" for tunnel in sim.world.tunnels.keys() - {sim.world.tunnel_id}}
    found = [(record, hash_of_hostname(str(record["name"]))) for record in sim.world.records.all()]
    return [r for r, session in found if session and (r["content"] in former or _is_forgotten(sim, session, r))]


def _is_forgotten(sim: Simulation, session: str, record: Mapping[str, Any]) -> bool:
    return sim.is_forgotten(session, parse(str(record["comment"])))


def stranded_routes(sim: Simulation) -> list[str]:
    """The names of sessions' routes that are of a forgotten owner."""
    owners = {
        name: (route["metadata"].get("labels") or {}).get(OWNER_LABEL) for name, route in sim.monitor.routes().items()
    }
    return [
        name for name, owner in owners.items() if (session := hash_of_route(name)) and sim.is_forgotten(session, owner)
    ]


def remove_stranded(sim: Simulation) -> None:
    """A person deletes them, as the conflict says."""
    for record in stranded(sim):
        sim.remove_record(str(record["name"]))
    for name in stranded_routes(sim):
        sim.remove_route(name)
