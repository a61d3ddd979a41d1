"""What `/healthz` tells of an operator: what only the leader knows, and nothing that a former leader knew."""

import asyncio
from typing import Any, Never

import pytest

from cloudflare_ops.client import READ_ATTEMPTS
from cloudflare_ops.endpoints import Endpoint
from controller.app import Operator
from controller.settings import Settings
from controller.status import SHOWN, Status
from controller.term import Term
from fsm.errors import PermanentError, SessionError
from k8s.client import Kube
from tests.cloudflare_ops.api import FakeApi, failing, instead
from tests.controller.test_settings import GOOD
from tests.k8s.virtual import now, virtual


class Silent(Kube):
    """An API server that nobody asks."""

    async def request(self, method: str, path: str, **others: Any) -> Never:
        raise AssertionError(path)

    def stream(self, path: str, **others: Any) -> Never:
        raise AssertionError(path)


class Leader:
    """An operator that leads, though no election was held."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.operator = Operator(Settings.from_env(GOOD), Silent(), self.api, now=now)
        self.status = Status(self.operator, now)
        for reflector in (self.operator.pods.reflector, self.operator.routes.reflector):
            reflector.problem = None
        self.term = Term(self.operator.base)
        self.lead(self.term)

    def lead(self, term: Term | None) -> None:
        self.operator._term = term

    async def ask(self) -> None:
        await self.term.client.call("GET", Endpoint.ZONE)


@virtual
async def test_a_block_of_cloudflare_is_told_for_as_long_as_it_lasts() -> None:
    leader = Leader()
    await leader.ask()
    assert leader.status.problems() == {}
    leader.api.script("GET zone", instead(failing(429, 971, **{"retry-after": "240"})))
    with pytest.raises(SessionError):
        await leader.ask()
    assert leader.status.problems()["cloudflare RateLimited"].startswith("RateLimited: ")
    assert leader.status.report()["cloudflare"] == {
        "success_seconds_ago": pytest.approx(0.1),
        "budget_left": 498,
        "blocked_seconds": 240.0,
    }
    await asyncio.sleep(240)
    assert leader.status.problems() == {}


@virtual
async def test_a_cloudflare_that_fails_is_told_until_a_call_succeeds() -> None:
    leader = Leader()
    leader.api.script("GET zone", *[instead(failing(502, 502))] * READ_ATTEMPTS)
    with pytest.raises(SessionError):
        await leader.ask()
    assert leader.status.problems()["cloudflare"].startswith("CloudflareError: ")
    await leader.ask()
    assert leader.status.problems() == {}


@virtual
async def test_some_of_the_orphans_that_the_brake_holds_are_named() -> None:
    leader = Leader()
    leader.term.sweep.held = frozenset(f"{number:012x}" for number in range(30))
    assert leader.status.report()["sweep_held"] == [f"{number:012x}" for number in range(SHOWN)]
    leader.status.refresh()
    assert leader.operator.metrics.sweep_held._value.get() == 30


@virtual
async def test_what_a_term_told_is_over_with_it() -> None:
    leader = Leader()
    leader.term.sweep.held = frozenset({"8b6cc2aa9a45"})
    leader.operator.events.problem = PermanentError("KubernetesForbidden", "no Events")
    leader.status.refresh()
    assert leader.status.problems() == {"events": "KubernetesForbidden: no Events"}
    leader.lead(None)
    leader.status.refresh()
    assert leader.status.problems() == {}
    assert leader.status.report()["sweep_held"] == []
    metrics = leader.operator.metrics
    assert [gauge._value.get() for gauge in (metrics.leader, metrics.sweep_held, metrics.budget_left)] == [0, 0, 0]


@virtual
async def test_requests_to_cloudflare_are_counted_over_the_terms_of_a_process() -> None:
    leader = Leader()
    await leader.ask()
    leader.term = Term(leader.operator.base)
    leader.api.script("GET zone", instead(failing(429, 971)))
    with pytest.raises(SessionError):
        await leader.ask()
    await leader.term.client.call("GET", Endpoint.RECORDS, params={"page": 1, "per_page": 10})
    (family,) = [each for each in leader.operator.metrics.registry.collect() if each.name.endswith("cloudflare_calls")]
    assert {tuple(sample.labels.values()): sample.value for sample in family.samples} == {
        ("GET", "zone", "200"): 1,
        ("GET", "zone", "429"): 1,
        ("GET", "records", "200"): 1,
    }
