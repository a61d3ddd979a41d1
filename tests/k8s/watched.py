"""A reflector of small facts on a scripted API server: the world of the reflector tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from k8s.cache import Change
from k8s.client import Object
from k8s.reflector import Reflector
from tests.k8s.fake import (
    FakeKube,
)
from tests.k8s.virtual import now

PATH = "/api/v1/namespaces/ns/pods"


@dataclass(frozen=True)
class Facts:
    name: str
    uid: str
    text: str


def parse(thing: Object, _: Facts | None) -> Facts | None:
    metadata = thing["metadata"]
    text = (metadata.get("labels") or {}).get("text", "")
    return None if text == "foreign" else Facts(metadata["name"], metadata["uid"], text)


class Watched:
    def __init__(self) -> None:
        self.kube = FakeKube()
        self.changes: list[Change[Facts]] = []
        self.recoveries = 0
        self.reflector = Reflector(
            self.kube,
            PATH,
            parse=parse,
            on_change=self.changes.append,
            on_recovered=self._recover,
            now=now,
            selector="!other",
            jitter=lambda: 0.0,
        )

    def _recover(self) -> None:
        assert self.reflector.synced.is_set()
        self.recoveries += 1

    @property
    def names(self) -> list[str]:
        return sorted(entry.facts.name for entry in self.reflector.entries())

    @asynccontextmanager
    async def running(self, *streams: list[object], seconds: float = 0.0) -> AsyncIterator[None]:
        """Run with these streams (then none), look `seconds` later."""
        self.kube.streams.extend(streams)
        task = asyncio.create_task(self.reflector.run())
        await asyncio.sleep(seconds)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled(), task.exception()
            assert self.kube.open == 0
