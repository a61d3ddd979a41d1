"""The simulation's two clients by themselves, on an ordinary loop and with nobody who minds.

What the product's own clients are tested with (`tests/k8s/test_whole.py`, `tests/cloudflare_ops/test_whole.py`) asks
these, too: a client that is kinder than the real one proves nothing.
"""

import asyncio
import time
from random import Random
from unittest.mock import create_autospec

from sandbox.cloudflare.world import World
from sandbox.kubernetes.api import Api
from tests.property.simulation.cloudflare import SimulatedTransport
from tests.property.simulation.kube import SimulatedKube, WatchTroubles
from tests.property.simulation.monitor import Monitor
from tests.property.simulation.network import Network


class _Shortest(Random):
    """Every way takes as little as it can."""

    def uniform(self, a: float, b: float) -> float:
        return min(a, b)


def network() -> Network:
    """One without faults, on the running loop."""
    return Network(asyncio.get_running_loop(), _Shortest())


def kube(api: Api) -> SimulatedKube:
    """A client of this API server."""
    return SimulatedKube(api, network(), create_autospec(Monitor, instance=True), WatchTroubles(), time.time)


def cloudflare(world: World, wires: Network) -> SimulatedTransport:
    """A client of this account."""
    return SimulatedTransport(world, wires, create_autospec(Monitor, instance=True), time.time, lambda: None)
