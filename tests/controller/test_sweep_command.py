"""`sweep --force`: it ends, says what was really done, and leaves nothing behind that acts later."""

import asyncio
import copy
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from unittest.mock import create_autospec

import pytest

from cloudflare_ops.ownership import render
from controller import app, sweep_command, sweep_request
from controller.app import Operator
from controller.background import background
from controller.settings import Settings
from controller.sweep_request import Result
from fsm.errors import GoneError, PermanentError, SessionError, StaleError, TransientError
from fsm.session import HASH_LABEL
from k8s.elector import Elector
from k8s.lease import LeaseFacts
from k8s.lease_store import LeaseStore
from tests.cloudflare_ops.api import TARGET, FakeApi, failing, host, instead, session
from tests.controller.test_app import ENVIRONMENT
from tests.k8s.fake import FakeKube, complete, item, listed
from tests.k8s.virtual import now, virtual

SETTINGS = Settings.from_env(ENVIRONMENT)
FORBIDDEN = PermanentError("KubernetesForbidden", "leases is forbidden")
ORPHANS = [session(number) for number in range(3)]


def wall() -> datetime:
    return datetime.fromtimestamp(now(), UTC)


class Cluster(FakeKube):
    """A Lease with compare-and-set, and watches that say that there is nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.lease: Any = None
        self.refuses: SessionError | None = None
        self.pods: list[Any] = []  # that no watch tells of
        self.slowness = 0.0  # seconds until a watch has told everything
        self.thinking = 0.01  # seconds until a request is answered

    async def request(self, method: str, path: str, **others: Any) -> Any:
        await asyncio.sleep(self.thinking)
        if "/leases" not in path:
            return listed(5, *self.pods) if "/pods" in path else listed(5)
        if method == "GET":
            if self.lease is None:
                raise GoneError("ObjectGone", "it does not exist")
            return self.lease
        if self.refuses:
            raise self.refuses
        version = self.lease["metadata"]["resourceVersion"] if self.lease else "0"
        body = others["body"]
        if body["metadata"].get("resourceVersion", "0") != version:
            raise StaleError("ObjectChanged", "somebody else was faster")
        self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": str(int(version) + 1)}}
        return self.lease

    @asynccontextmanager
    async def stream(self, path: str, **others: Any) -> AsyncIterator[Any]:
        async def events() -> AsyncIterator[Any]:
            await asyncio.sleep(self.slowness)
            yield complete(5)
            await asyncio.Event().wait()

        yield events()

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.lease["metadata"].get("annotations") or {}


class World:
    """Three orphans at Cloudflare, and a person who has them swept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kube, self.api = Cluster(), FakeApi()
        for number in range(3):
            self.api.records[f"id{number}"] = {
                "id": f"id{number}",
                "type": "CNAME",
                "name": host(number),
                "content": TARGET,
                "proxied": True,
                "comment": render(SETTINGS.owner_id),
            }
        monkeypatch.setattr(sweep_command, "worlds", self._worlds)
        monkeypatch.setattr(sweep_command, "Operator", partial(Operator, now=now, wall=wall, rng=random.Random(1)))

    @asynccontextmanager
    async def _worlds(self, settings: Settings) -> AsyncIterator[Any]:
        yield self.kube, self.api

    async def force(self) -> int:
        return await sweep_command.run(SETTINGS, force=True)

    @asynccontextmanager
    async def leader(self, answer: Callable[[str], Result | None]) -> AsyncIterator[None]:
        """Somebody who leads as soon as the Lease is free, and answers (or not) what a person asks."""

        def on_annotations(annotations: Mapping[str, str]) -> None:
            request = sweep_request.pending(annotations)
            if request and (result := answer(request.id)):
                elector.annotate(sweep_request.RESULT, sweep_request.render(result))

        store = LeaseStore(self.kube, namespace=SETTINGS.watch_namespace, name=SETTINGS.lease_name)
        elector = Elector(store, identity="other", duration=15.0, now=now, wall=wall, on_annotations=on_annotations)

        async def lead() -> None:
            await asyncio.Event().wait()

        async with background(partial(elector.run, lead)):
            yield


@virtual
async def test_a_dry_run_names_nobody_while_it_is_known_of_a_part_alone_who_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch)
    monkeypatch.setattr(app, "SELECTABLE", 1)
    world.kube.thinking = sweep_command.ANSWER_WITHIN * 0.4
    with pytest.raises(TransientError, match="took too long to tell which sessions live"):
        await sweep_command.run(SETTINGS, force=False)


@virtual
async def test_without_a_leader_it_removes_everything_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(monkeypatch)
    assert await world.force() == 0
    assert capsys.readouterr().out.splitlines() == [*ORPHANS, "3 sessions released for removal"]
    assert world.api.records == {}
    assert not world.kube.lease["spec"].get("holderIdentity")


@virtual
@pytest.mark.parametrize(("status", "code", "times"), [(502, 502, 2), (502, 502, 500), (403, 10000, 500)])
async def test_what_could_not_be_removed_at_once_is_tried_again_and_what_is_left_is_a_failure(
    status: int, code: int, times: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(monkeypatch)
    world.api.script("POST batch", *[instead(failing(status, code))] * times)
    if times == 2:
        assert await world.force() == 0
        assert world.api.records == {}
        return
    with pytest.raises(TransientError, match="SweepIncomplete: 3 of 3 sessions could not be removed yet"):
        await world.force()
    assert len(world.api.records) == 3
    assert capsys.readouterr().out == ""


@virtual
async def test_whose_pod_lives_is_spared_and_that_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.kube.pods = [item("a", 1, labels={HASH_LABEL: ORPHANS[0]})]
    assert await world.force() == 0
    assert [record["name"] for record in world.api.records.values()] == [host(0)]


@virtual
async def test_a_lease_of_a_leader_that_is_gone_is_waited_for_however_long_it_lasts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch)
    async with world.leader(lambda _: None):
        await asyncio.sleep(1)
        held = copy.deepcopy(world.kube.lease)
    world.kube.lease = held
    held["spec"]["leaseDurationSeconds"] = 120
    assert await world.force() == 0
    assert world.api.records == {}


@virtual
async def test_a_lease_that_is_taken_again_and_again_by_nobody_alive_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    monkeypatch.setattr(Elector, "run", lambda *_: asyncio.sleep(10_000))
    with pytest.raises(TransientError, match="LeaseHeld"):
        await world.force()


@virtual
async def test_a_lease_that_is_lost_in_the_middle_ends_the_command_and_all_its_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch)
    world.api.script("POST batch", *[instead(failing(502, 502))] * 500)
    command = asyncio.create_task(world.force())
    await asyncio.sleep(5)
    world.kube.refuses = FORBIDDEN
    with pytest.raises(PermanentError, match="leases is forbidden"):
        await asyncio.wait_for(command, 600)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    calls = len(world.api.calls)
    await asyncio.sleep(600)
    assert len(world.api.calls) == calls


@virtual
async def test_a_sign_of_life_is_found_although_the_lease_cannot_be_read_for_a_while() -> None:
    store = create_autospec(LeaseStore, instance=True)
    mine, other = LeaseFacts("me", token=("me", "1", "")), LeaseFacts("other", token=("other", "2", ""))
    unavailable = TransientError("KubernetesUnavailable", "no answer")
    store.facts.side_effect = [mine, unavailable, replace(mine, token=("me", "3", "")), unavailable, other]
    await sweep_command._sign_of_life(store, "me")
    assert store.facts.await_count == 5


@virtual
async def test_in_a_hand_over_it_asks_whoever_leads_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(monkeypatch)
    async with world.leader(lambda _: None):
        await asyncio.sleep(1)
    assert world.kube.lease["spec"].get("holderIdentity") == ""
    world.kube.slowness = 2.0
    command = asyncio.create_task(world.force())
    await asyncio.sleep(0.015)  # it has seen that nobody holds the Lease
    async with world.leader(lambda request: Result(request, ("8b6cc2aa9a45",))):
        assert await asyncio.wait_for(command, 60) == 0
    assert capsys.readouterr().out.splitlines() == ["8b6cc2aa9a45", "1 sessions released for removal"]
    assert len(world.api.records) == 3


@virtual
async def test_a_question_without_an_answer_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    asked: list[str] = []
    async with world.leader(asked.append):
        await asyncio.sleep(1)
        with pytest.raises(TransientError, match="SweepUnanswered"):
            await world.force()
        assert asked
        assert sweep_request.REQUEST not in world.kube.annotations
        first = asyncio.create_task(world.force())
        await asyncio.sleep(45)
        second = asyncio.create_task(world.force())
        with pytest.raises(TransientError, match="SweepUnanswered"):
            await first
        assert sweep_request.pending(world.kube.annotations)  # the question of somebody else
        with pytest.raises(TransientError, match="SweepUnanswered"):
            await second


@virtual
async def test_a_lease_that_cannot_be_had_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.kube.refuses = FORBIDDEN
    with pytest.raises(PermanentError, match="leases is forbidden"):
        await world.force()
    assert len(world.api.records) == 3
