"""The facts behind `/healthz` and the gauges: gathered from `app`'s parts when somebody asks."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cloudflare_ops.client import Client
from fsm.errors import TransientError
from fsm.observation import carrier_of
from fsm.session import PREFIX
from fsm.states import State

if TYPE_CHECKING:
    from controller.app import Operator

# An elector that did not finish a try for so many lease durations hangs: each request has a limit far below.
STUCK_AFTER = 4
SHOWN = 20  # hashes of held orphans
BLOCKED = "RateLimited: Cloudflare takes no more requests for a while; every session waits until it does again"


class Status:
    """Answers for one operator."""

    def __init__(self, operator: "Operator", now: Callable[[], float]) -> None:
        self._operator = operator
        self._now = now

    def report(self) -> Mapping[str, object]:
        """The body of `/healthz`."""
        operator = self._operator
        return {
            "role": "leader" if operator.term else "standby",
            "leader": operator.elector.facts.holder,
            "watches": {name: self._watch(reflector) for name, reflector in self._reflectors().items()},
            "cloudflare": self._cloudflare(),
            "sweep_held": sorted(operator.term.sweep.held)[:SHOWN] if operator.term else [],
            "problems": self.problems(),
        }

    def problems(self) -> Mapping[str, str]:
        """Topic -> what is wrong, with remedy."""
        operator = self._operator
        found: dict[str, object] = {f"watch {name}": part.problem for name, part in self._reflectors().items()}
        found["lease"] = operator.elector.problem
        if operator.term:
            # Events too: a standby may never post the next one, which would end the news.
            found |= self._account(operator.term.client) | {"events": operator.events.problem}
        return {topic: str(error) for topic, error in found.items() if error} | operator.problems.report()

    def stuck(self) -> str:
        """What only a restart mends, or nothing."""
        elector, limit = self._operator.elector, STUCK_AFTER * self._operator.base.settings.lease_duration
        silent = self._now() - elector.last_attempt
        return f"the lease task has not tried anything for {silent:.0f} s" if silent > limit else ""

    def refresh(self) -> None:
        """Set the gauges."""
        operator, metrics = self._operator, self._operator.metrics
        metrics.leader.set(1 if operator.term else 0)
        metrics.problems.set(len(self.problems()))
        metrics.budget_left.set(operator.term.client.budget.left if operator.term else 0)
        metrics.sweep_held.set(len(operator.term.sweep.held) if operator.term else 0)
        states = Counter(self._state(session) for session in operator.pods.sessions())
        for state in (*(state.value for state in State), "none"):
            metrics.sessions.labels(state).set(states[state])

    def _state(self, session: str) -> str:
        carrier = carrier_of(self._operator.pods.of(session))
        text = carrier.annotations.get(PREFIX + "state", "") if carrier else ""
        return text if text in {state.value for state in State} else "none"

    def _reflectors(self) -> Mapping[str, Any]:
        return {"pods": self._operator.pods.reflector, "ingressroutes": self._operator.routes.reflector}

    def _watch(self, reflector: Any) -> Mapping[str, object]:
        return {"synced": reflector.synced.is_set(), "heard_seconds_ago": self._ago(reflector.last_sync)}

    def _cloudflare(self) -> Mapping[str, object]:
        if self._operator.term is None:
            return {}
        client = self._operator.term.client
        return {
            "success_seconds_ago": self._ago(client.last_success),
            "budget_left": client.budget.left,
            "blocked_seconds": round(client.budget.blocked_for, 1),
        }

    def _account(self, client: Client) -> dict[str, object]:
        found: dict[str, object] = {f"cloudflare {error.reason}": error for error in client.problems}
        # A block is told as long as it lasts, everything else until a call succeeds.
        if client.budget.blocked_for:
            return found | {"cloudflare RateLimited": BLOCKED}
        trouble = client.trouble
        is_block = isinstance(trouble, TransientError) and trouble.retry_after is not None
        return found if is_block else found | {"cloudflare": trouble}

    def _ago(self, time: float | None) -> float | None:
        return None if time is None else round(self._now() - time, 1)
