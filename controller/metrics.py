"""Every metric, declared once; `/metrics` renders the registry. Counted where it happens, by whoever does it."""

from prometheus_client import CollectorRegistry, Counter, Gauge

PREFIX = "opencode_cloudflare_operator_"


class Metrics:
    """The collectors of one process, in a registry of their own (tests run several)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.transitions = Counter(
            PREFIX + "transitions", "Records written with a new state", ["source", "target"], registry=self.registry
        )
        self.effects = Counter(
            PREFIX + "effects", "Effects carried out, by what came back", ["effect", "outcome"], registry=self.registry
        )
        self.calls = Counter(
            PREFIX + "cloudflare_calls", "Requests sent to Cloudflare", ["method", "status"], registry=self.registry
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
