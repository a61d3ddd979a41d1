"""The operators get another tunnel: what leads to the former one is nobody's any more, and a person has to say so.

`fates` moves; `ending` asks what was stranded, and takes the remedy that the conflict names.
"""

from collections.abc import Mapping
from typing import Any

from fsm.session import hash_of_hostname
from sandbox.cloudflare.tunnels import Tunnel
from sandbox.cloudflare.world import TUNNEL_ID
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
    """The records of sessions' names that lead to the former tunnel."""
    if sim.world.tunnel_id == TUNNEL_ID:
        return []
    former = f"{TUNNEL_ID}.cfargotunnel.com"
    records = sim.world.records.all()
    return [r for r in records if r["content"] == former and hash_of_hostname(str(r["name"]))]


def remove_stranded(sim: Simulation) -> None:
    """A person deletes them, as the conflict says."""
    for record in stranded(sim):
        sim.remove_record(str(record["name"]))
