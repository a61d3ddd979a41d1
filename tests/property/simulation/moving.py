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
    found: list[Mapping[str, Any]] = []
    for record in sim.world.records.all():
        if session := hash_of_hostname(str(record["name"])):
            is_forgotten = sim.is_forgotten(session, parse(str(record["comment"])))
            found += [record] if is_forgotten or record["content"] in former else []
    return found


def stranded_routes(sim: Simulation) -> list[str]:
    """The names of sessions' routes that are of a forgotten owner."""
    found = []
    for name, route in sim.monitor.routes().items():
        owner = (route["metadata"].get("labels") or {}).get(OWNER_LABEL)
        if (session := hash_of_route(name)) and sim.is_forgotten(session, owner):
            found.append(name)
    return found


def remove_stranded(sim: Simulation) -> None:
    """A person deletes them, as the conflict says."""
    for record in stranded(sim):
        sim.remove_record(str(record["name"]))
    for name in stranded_routes(sim):
        sim.remove_route(name)
