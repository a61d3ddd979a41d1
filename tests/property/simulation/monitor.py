"""Sees every effect in the world at the moment it happens: the invariants, in two halves."""

from tests.property.simulation.cloudflare_monitor import CloudflareMonitor
from tests.property.simulation.kube_monitor import KubeMonitor


class Monitor(CloudflareMonitor, KubeMonitor):
    """Both halves on the same ground (`eyes`)."""
