"""What belongs to one term of leadership ends with it; trouble beside the work of a leader does not end that work."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from controller import sweep_request
from controller.app import Operator
from controller.queue import Queue
from controller.reconcile import Reconciler
from controller.resync import Resync
from controller.settings import Settings
from controller.sweep_request import Request, Result
from fsm.errors import PermanentError
from fsm.orphans import SweepPlan
from fsm.session import HASH_LABEL, PREFIX
from k8s.lease import LeaseFacts
from tests.cloudflare_ops.api import FakeApi
from tests.k8s.fake import FakeKube, added
from tests.k8s.virtual import now, virtual

ENVIRONMENT = {
    "CF_API_TOKEN": "token",
    "CF_ZONE_ID": "0" * 32,
    "CF_TUNNEL_ID": "6ff42ae2-765d-4adf-8112-31c55c1551ef",
    "DOMAIN": "example.org",
    "ROUTER_SERVICE_URL": "http://router.svc:80",
    "POD_NAME": "me",
}


class World:
    def __init__(self) -> None:
        self.kube = FakeKube()
        self.kube.usual = {}
        self.api = FakeApi()
        self.operator = Operator(
            Settings.from_env(ENVIRONMENT),
            self.kube,
            self.api,
            now=now,
            wall=lambda: datetime(2026, 1, 1, tzinfo=UTC),
            rng=random.Random(1),
        )

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.operator._lead())
        await asyncio.sleep(0.1)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled(), task.exception()

    def find_invalid(self, name: str) -> None:
        labels = {HASH_LABEL: "BAD"}
        self.operator.pods.reflector._take(added(name, 7, labels=labels, namespace="opencode-router"))

    def lease(self, annotations: Mapping[str, str]) -> None:
        """The Lease says this now."""
        self.operator.elector.facts = LeaseFacts(annotations=annotations)
        self.operator._on_lease(annotations)

    def answer(self, request: str) -> Result | None:
        """What the leader is about to write on the Lease."""
        notes = {key: text for key, text in self.operator.elector._notes.items() if text}
        return sweep_request.answered(notes, request)

    @property
    def events(self) -> list[Any]:
        return [asked.body["regarding"]["name"] for asked in self.kube.asked if asked.path.endswith("/events")]


@virtual
async def test_a_pod_with_a_bad_hash_is_told_by_whoever_leads() -> None:
    world = World()
    world.find_invalid("a")
    async with world.leading():
        world.find_invalid("b")
        await asyncio.sleep(30)
    assert world.events == ["a", "b"]


@virtual
async def test_what_only_a_leader_knows_is_gone_with_its_term() -> None:
    world = World()
    async with world.leading():
        world.operator.problems.tell("sweep", "SweepHeld: many")
    assert world.operator.problems.report() == {}


@virtual
async def test_what_cloudflare_asked_for_and_what_was_spent_outlives_a_term() -> None:
    world = World()
    async with world.leading():
        assert world.operator.term is not None
        world.operator.term.client.budget.block(600)
    before = len(world.api.calls)
    async with world.leading():
        await asyncio.sleep(300)
    assert len(world.api.calls) == before


@virtual
async def test_a_forced_sweep_that_cannot_be_done_says_what_is_in_the_way_and_nothing_else() -> None:
    world = World()
    request = {sweep_request.REQUEST: sweep_request.render(Request("1"))}
    world.operator.elector.facts = LeaseFacts(annotations=request)
    world.operator.problems.tell("tunnel overwritten", "TunnelOverwritten: half an hour ago")
    world.operator.pods.reflector.problem = PermanentError("KubernetesForbidden", "pods is forbidden")
    async with world.leading():
        await asyncio.sleep(30)
        assert world.answer("1") == Result("1", error="KubernetesForbidden: pods is forbidden")


@virtual
async def test_a_question_that_was_taken_back_or_answered_meanwhile_gets_no_answer_and_forces_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, forced = World(), list[bool]()
    request = {sweep_request.REQUEST: sweep_request.render(Request("1"))}

    async def once(_: Resync, *, force: Callable[[], bool]) -> SweepPlan:
        await asyncio.sleep(10)
        forced.append(force())
        return SweepPlan(frozenset({"8b6cc2aa9a45"}), frozenset(), {})

    monkeypatch.setattr(Resync, "run", lambda _: asyncio.sleep(1000))
    monkeypatch.setattr(Resync, "once", once)
    async with world.leading():
        world.lease(request)
        await asyncio.sleep(5)
        world.lease(request | {"another": "note"})
        await asyncio.sleep(6)
        assert world.answer("1") == Result("1", ("8b6cc2aa9a45",))
        world.lease(request | {sweep_request.RESULT: sweep_request.render(Result("1"))})
        world.operator.elector._notes.clear()
        await asyncio.sleep(10)
        assert world.answer("1") is None
        world.lease({sweep_request.REQUEST: sweep_request.render(Request("2"))})
        await asyncio.sleep(5)
        world.lease({})
        await asyncio.sleep(10)
        assert world.answer("2") is None
        assert forced == [True, False, False]


def find(world: World, session: str, version: int, state: str) -> None:
    texts = {PREFIX + "state": state} if state else {}
    labels = {HASH_LABEL: session}
    pod = added(session, version, labels=labels, annotations=texts, namespace="opencode-router")
    world.operator.pods.reflector._take(pod)


@virtual
async def test_who_has_something_to_do_comes_before_the_thousands_that_are_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, order = World(), list[str]()
    monkeypatch.setattr(Queue, "add", lambda _, session: order.append(session))
    states = {"a" * 12: "Ready", "b" * 12: "Pending", "c" * 12: "Ready", "d" * 12: "", "e" * 12: "Ready"}
    for version, (session, state) in enumerate(states.items(), 1):
        find(world, session, version, state)
    world.operator.witness.permit("f" * 12)
    async with world.leading():
        pass
    assert ({*order[:3]}, len(order)) == ({"b" * 12, "d" * 12, "f" * 12}, 6)


@virtual
async def test_who_is_at_rest_gets_no_place_and_a_bug_in_that_question_is_one_sessions_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, placed = World(), list[str]()
    resting, drifted, strange = "a" * 12, "b" * 12, "c" * 12
    answers = {resting: True, drifted: False}
    monkeypatch.setattr(Queue, "add", lambda _, session: placed.append(session))
    monkeypatch.setattr(Reconciler, "is_at_rest", lambda _, session: answers[session])
    for version, session in enumerate((strange, resting, drifted), 1):
        find(world, session, version, "Ready")
    async with world.leading():
        assert sorted(placed) == [drifted, strange]
        answers[resting] = False
        placed.clear()
        world.operator._recovered()
        await asyncio.sleep(0.1)
        assert sorted(placed) == [resting, drifted, strange]


@virtual
async def test_a_sweep_that_a_person_asked_for_ends_with_the_term_and_brings_nothing_up_afterwards() -> None:
    world = World()
    request = {sweep_request.REQUEST: sweep_request.render(Request("1"))}
    world.operator.elector.facts = LeaseFacts(annotations=request)
    world.operator.witness.permit("8b6cc2aa9a45")
    world.api.latency = 5.0
    async with world.leading():
        term = world.operator.term
        assert term is not None
    await asyncio.sleep(60)
    assert len(term.queue) == 0
    term.queue.add("8b6cc2aa9a45")
    term.queue.add_later("8b6cc2aa9a45", 1.0)
    await asyncio.sleep(5)
    assert len(term.queue) == 0


@virtual
async def test_an_overwritten_edit_is_a_problem_for_an_hour() -> None:
    world = World()
    async with world.leading():
        term = world.operator.term
        assert term is not None
        term._overwritten(3, 5)
        await asyncio.sleep(1800)
        term._overwritten(7, 9)
        await asyncio.sleep(3500)
        assert "version 7" in world.operator.problems.report()["tunnel overwritten"]
        await asyncio.sleep(200)
        assert "tunnel overwritten" not in world.operator.problems.report()
