"""Every metric, declared once; `/metrics` renders the registry. Counted where it happens, by whoever does it.

README has them in a table, and a test compares the two.
"""

from collections import Counter as Tally
from collections.abc import Iterator
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from fsm.session import MANAGER

PREFIX = "opencode_cloudflare_operator_"
# Seconds: a calm day, a burst at the sidecar's limits, the pauses of the backoff.
BUCKETS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)

_VERSION = version(MANAGER)

# When a counter began says `process_start_time_seconds`; one more series for each would not.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types


class Metrics:
    """The collectors of one process, in a registry of their own (tests run several)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls: Tally[tuple[str, str]] = Tally()  # `cloudflare_ops.client` counts: see its `calls`
        self.registry.register(_Calls(self.calls))
        self.transitions = Counter(
            PREFIX + "transitions", "Records written with a new state", ["source", "target"], registry=self.registry
        )
        self.effects = Counter(
            PREFIX + "effects", "Effects carried out, by what came back", ["effect", "outcome"], registry=self.registry
        )
        self.ready_seconds = Histogram(
            PREFIX + "ready_seconds",
            "From a Pod's creation to its first Ready",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.overwrites = Counter(
            PREFIX + "tunnel_overwrites",
            "Times somebody wrote the tunnel configuration between our read and our write",
            registry=self.registry,
        )
        self.leader = Gauge(PREFIX + "leader", "1 while this replica leads", registry=self.registry)
        self.sessions = Gauge(PREFIX + "sessions", "Session Pods by recorded state", ["state"], registry=self.registry)
        self.problems = Gauge(PREFIX + "problems", "Open problems, see /healthz", registry=self.registry)
        self.sweep_held = Gauge(
            PREFIX + "sweep_held", "Orphans that the sweep's brake holds back", registry=self.registry
        )
        self.budget_left = Gauge(
            PREFIX + "cloudflare_budget_left", "Cloudflare requests left in the budget now", registry=self.registry
        )
        Info(PREFIX + "build", "The version that runs", registry=self.registry).info({"version": _VERSION})
        ProcessCollector(registry=self.registry)


class _Calls(Collector):
    """The counts of a client that lives for one term only, as a counter that lives as long as the process."""

    def __init__(self, calls: Tally[tuple[str, str]]) -> None:
        self._calls = calls

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(
            PREFIX + "cloudflare_calls", "Requests sent to Cloudflare", labels=("method", "endpoint", "status")
        )
        for (kind, status), count in sorted(self._calls.items()):
            family.add_metric((*kind.split(" "), status), count)
        yield family
