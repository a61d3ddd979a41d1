"""The regular look: once a round, also while the watches are still listing, and never a sweep before they have."""

import asyncio

import pytest

from controller.background import background
from controller.resync import FAILED_PAUSE, Resync
from controller.sweep import Sweep
from fsm.errors import TransientError
from tests.controller.world import HASH, HOST, Fixture
from tests.k8s.virtual import virtual

INTERVAL = 60.0


class Round:
    """A resync of a world with one orphan; `complete` says whether the watches have listed everything."""

    def __init__(self) -> None:
        self.world = world = Fixture()
        self.complete = False
        self.added = list[str]()
        self.looks_over = 0
        world.dns.there.add(HOST)
        sweep = Sweep(
            world=world.world,
            witness=world.witness,
            problems=world.problems,
            add=self.added.append,
            now=world.clock,
            grace=0.0,
        )
        self.resync = Resync(
            world=world.world,
            sweep=sweep,
            problems=world.problems,
            look_over=self._look_over,
            caches_incomplete=lambda: None if self.complete else TransientError("NotSynced", "nothing was read yet"),
            now=world.clock,
            interval=INTERVAL,
        )

    def _look_over(self) -> None:
        self.looks_over += 1

    @property
    def looks(self) -> int:
        return self.world.calls.count("look dns")


@virtual
async def test_watches_that_are_complete_soon_cost_no_second_look() -> None:
    here = Round()
    async with background(here.resync.run):
        await asyncio.sleep(FAILED_PAUSE / 2)
        here.complete = True
        await asyncio.sleep(INTERVAL - 1)
        assert here.looks == 1


@virtual
async def test_sessions_are_looked_over_although_the_watches_are_not_complete() -> None:
    here = Round()
    async with background(here.resync.run):
        await asyncio.sleep(1)
        assert here.looks_over == 1


@virtual
async def test_a_look_settles_the_doubts_about_routes_and_goes_on_when_it_cannot() -> None:
    here = Round()
    here.complete = True
    here.world.routes.failures.append(TransientError("KubernetesUnavailable", "the API server answers 503"))
    assert await here.resync.once() is not None
    assert "settle routes" in here.world.calls
    assert here.looks_over == 1
    assert here.world.problems.report() == {}


@virtual
async def test_whether_a_sweep_is_forced_is_asked_after_the_look() -> None:
    here = Round()
    here.complete = True
    await here.resync.once(force=lambda: "look dns" not in here.world.calls)
    assert here.added == []
    await here.resync.once(force=lambda: "look dns" in here.world.calls)
    assert here.added == [HASH]


@virtual
async def test_watches_that_stay_incomplete_mean_no_sweep_and_another_look() -> None:
    here = Round()
    with pytest.raises(TransientError, match="NotSynced"):
        await here.resync.once()
    assert here.added == []
    async with background(here.resync.run):
        await asyncio.sleep(2 * FAILED_PAUSE + 1)
        assert here.looks == 3
    here.complete = True
    assert await here.resync.once() is not None


@virtual
async def test_a_look_with_a_bug_in_it_is_told_and_does_not_end_the_looking() -> None:
    here = Round()
    here.complete = True
    here.world.dns.failures.append(KeyError("name"))
    async with background(here.resync.run):
        await asyncio.sleep(1)
        assert here.world.problems.report()["cloudflare"] == "InternalError: KeyError. See the operator's log"
        await asyncio.sleep(FAILED_PAUSE)
        assert here.world.problems.report() == {}
        assert here.looks == 2
