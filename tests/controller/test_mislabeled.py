"""Pods whose hash is none are told once in a term, and only while they are there with that label."""

import asyncio
from dataclasses import replace

from controller.background import background
from controller.mislabeled import MOST, Mislabeled
from fsm.errors import GoneError, TransientError
from fsm.observation import PodFacts
from tests.controller.world import FakeEvents
from tests.k8s.virtual import virtual

BAD = PodFacts("ns", "pod", "uid", "BAD", "", deleting=False, resource_version="", first_seen=0.0)


class World:
    """`there` is what the API server says of each Pod; an error is raised."""

    def __init__(self) -> None:
        self.there: dict[str, PodFacts | Exception] = {}
        self.events = FakeEvents()
        self.mislabeled = Mislabeled(self.events, self.read)

    async def read(self, name: str) -> PodFacts:
        found = self.there.get(name, GoneError("ObjectGone", "it does not exist"))
        if isinstance(found, Exception):
            raise found
        return found

    def find(self, name: str = "pod") -> None:
        self.there[name] = replace(BAD, name=name, uid=f"uid of {name}")
        self.mislabeled.found(name, "ns", f"uid of {name}", "BAD")

    async def lead(self) -> int:
        """How many were told in a term."""
        before = len(self.events.posted)
        async with background(self.mislabeled.run):
            await asyncio.sleep(1)
        return len(self.events.posted) - before


@virtual
async def test_each_term_tells_what_was_found_and_what_comes() -> None:
    world = World()
    world.find()
    async with background(world.mislabeled.run):
        await asyncio.sleep(1)
        world.find("other")
        await asyncio.sleep(1)
        assert [reason for reason, *_ in world.events.posted] == ["InvalidSessionHash"] * 2
    assert await world.lead() == 2


@virtual
async def test_what_was_corrected_or_replaced_or_has_gone_is_not_told_again() -> None:
    world = World()
    for name in ("corrected", "unlabeled", "replaced", "gone", "bad"):
        world.find(name)
    world.there["bad"] = replace(BAD, name="bad", uid="uid of bad", session="bad again")
    world.there["unlabeled"] = replace(BAD, name="unlabeled", uid="uid of unlabeled", session="")
    world.there["corrected"] = replace(BAD, name="corrected", uid="uid of corrected", session="8b6cc2aa9a45")
    world.there["replaced"] = replace(BAD, name="replaced", uid="another")
    del world.there["gone"]
    assert await world.lead() == 1
    world.there["gone"] = replace(BAD, name="gone", uid="uid of gone")
    assert await world.lead() == 1


@virtual
async def test_what_cannot_be_read_is_told() -> None:
    world = World()
    world.find()
    world.there["pod"] = TransientError("KubernetesUnavailable", "no answer")
    assert await world.lead() == 1


@virtual
async def test_only_some_are_remembered() -> None:
    world = World()
    for number in range(2 * MOST):
        world.find(str(number))
    assert len(world.mislabeled._untold) == MOST
    assert await world.lead() == MOST
