"""An API server that answers by script, at the seam of `k8s.client.Kube`."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fsm.errors import SessionError, TransientError
from k8s.client import JSON, Object, Query
from k8s.errors import Answer, of_answer, of_failure
from tests.k8s.virtual import now

SILENCE = object()  # nothing comes any more


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, str]
    body: Any = None
    content_type: str | None = None
    accept: str = JSON
    at: float = field(default_factory=now)


Answering = Callable[[Asked], Object]


def refusal(status: int, path: str = "/api/v1/namespaces/ns/pods", method: str = "GET", **rest: Any) -> SessionError:
    return of_answer(Answer(method, path, status, **rest))


class FakeKube:
    """`answers` are taken one by one: an object, an error, a function of what was asked, or SILENCE (until the
    request's time is over); `streams` likewise, each a list of events, errors, seconds to wait, and SILENCE."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.opened: list[Asked] = []
        self.open = 0
        self.answers: deque[Any] = deque()
        self.streams: deque[list[Any]] = deque()
        self.usual: Any = TransientError("KubernetesUnavailable", "the API server cannot be reached")
        self.usual_stream: list[Any] = [self.usual]

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: Any = None,
        content_type: str | None = None,
        accept: str = JSON,
        timeout: float = 10.0,
    ) -> Object:
        self.asked.append(Asked(method, path, dict(query), body, content_type, accept))
        answer = self.answers.popleft() if self.answers else self.usual
        await asyncio.sleep(0)
        if answer is SILENCE:
            await asyncio.sleep(timeout)
            raise of_failure(TimeoutError())
        if callable(answer):
            answer = answer(self.asked[-1])
        if isinstance(answer, Exception):
            raise answer
        result: Object = answer
        return result

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Query = (), accept: str = JSON, idle: float
    ) -> AsyncGenerator[AsyncIterator[Object], None]:
        self.opened.append(Asked("GET", path, dict(query), accept=accept))
        script = self.streams.popleft() if self.streams else self.usual_stream
        await asyncio.sleep(0)
        if script and isinstance(script[0], Exception):
            raise script[0]
        self.open += 1
        try:
            async with aclosing(_play(script, idle)) as events:
                yield events
        finally:
            self.open -= 1


async def _play(script: list[Any], idle: float) -> AsyncGenerator[Object, None]:
    for step in script:
        if step is SILENCE:
            await asyncio.sleep(idle)
            raise of_failure(TimeoutError())
        if isinstance(step, Exception):
            raise step
        if isinstance(step, (int, float)):
            await asyncio.sleep(step)
        else:
            yield step


def item(name: str, version: int, *, uid: str = "", **metadata: Any) -> Object:
    return {"metadata": {"name": name, "uid": uid or f"uid-{name}", "resourceVersion": str(version), **metadata}}


def added(name: str, version: int, **rest: Any) -> Object:
    return {"type": "ADDED", "object": item(name, version, **rest)}


def modified(name: str, version: int, **rest: Any) -> Object:
    return {"type": "MODIFIED", "object": item(name, version, **rest)}


def deleted(name: str, version: int, **rest: Any) -> Object:
    return {"type": "DELETED", "object": item(name, version, **rest)}


def bookmark(version: int) -> Object:
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}


def complete(version: int) -> Object:
    metadata = {"resourceVersion": str(version), "annotations": {"k8s.io/initial-events-end": "true"}}
    return {"type": "BOOKMARK", "object": {"metadata": metadata}}


def error(status: int) -> Object:
    return {"type": "ERROR", "object": {"kind": "Status", "code": status}}


def listed(version: int, *items: Object, following: str = "") -> Object:
    return {"metadata": {"resourceVersion": str(version), "continue": following}, "items": list(items)}
