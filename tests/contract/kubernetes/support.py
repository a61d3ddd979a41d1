"""A plain HTTP client for the suite, and the objects that its tests make.

Nothing of `k8s` is used: the suite says what the API does, not how the operator asks for it.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp

T = TypeVar("T")
Json = dict[str, Any]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

_PATIENCE = 20.0  # seconds until an event that does not come is a failure


async def eventually(look: Callable[[], Awaitable[T]]) -> T:
    """Look again until there is an answer that counts. The caller's own time limit ends it."""
    if found := await look():
        return found
    await asyncio.sleep(0.02)
    return await eventually(look)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: Any
    warnings: list[str]

    @property
    def reason(self) -> tuple[int, str]:
        """Code and reason of a refusal."""
        return self.status, self.body.get("reason", "")


class Watching:
    """An open watch."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def event(self) -> Json:
        """The next event. Raises EOFError when the stream has ended."""
        async with asyncio.timeout(_PATIENCE):
            line = await self._response.content.readline()
        if not line:
            raise EOFError
        event: Json = json.loads(line)
        return event

    async def rest(self) -> list[Json]:
        """All events until the stream ends."""
        events = []
        try:
            while True:
                events.append(await self.event())
        except EOFError:
            return events

    async def told(self) -> tuple[str, str]:
        """Type and name of the next event that is no bookmark."""
        while (event := await self.event())["type"] == "BOOKMARK":
            pass
        return event["type"], event["object"]["metadata"]["name"]


@dataclass(frozen=True)
class Cluster:
    """One API server, and a namespace of this test's own.

    watchlist: whether it can stream lists. forget: makes it forget what was before now.
    """

    session: aiohttp.ClientSession
    url: str
    headers: dict[str, str]
    tls: ssl.SSLContext | bool
    namespace: str
    watchlist: bool
    forget: Callable[[], Awaitable[None]]

    @property
    def pods(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"

    @property
    def leases(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"

    @property
    def routes(self) -> str:
        return f"/apis/traefik.io/v1alpha1/namespaces/{self.namespace}/ingressroutes"

    @property
    def events(self) -> str:
        return f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events"

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        **query: str,
    ) -> Answer:
        """One request."""
        headers = self.headers | {"Accept": accept, "Content-Type": content_type}
        data = None if body is None else json.dumps(body).encode()
        async with self.session.request(
            method, self.url + path, params=query, headers=headers, data=data, ssl=self.tls
        ) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return Answer(
                response.status, json.loads(text) if is_json else text, response.headers.getall("Warning", [])
            )

    async def get(self, path: str, **query: str) -> Json:
        """What is there, which has to be."""
        answer = await self.ask("GET", path, **query)
        assert answer.status == 200, answer.body
        body: Json = answer.body
        return body

    async def make(self, path: str, body: Json) -> Json:
        """A new object, which has to be welcome."""
        answer = await self.ask("POST", path, body)
        assert answer.status == 201, answer.body
        made: Json = answer.body
        return made

    async def patch(self, path: str, body: Any, content_type: str = MERGE_PATCH, **query: str) -> Answer:
        """One patch."""
        return await self.ask("PATCH", path, body, content_type=content_type, **query)

    async def apply(self, path: str, body: Json, manager: str, *, force: bool = False) -> Answer:
        """One server-side apply."""
        return await self.patch(path, body, APPLY, fieldManager=manager, force=str(force).lower())

    @asynccontextmanager
    async def watch(self, path: str, *, accept: str = "application/json", **query: str) -> AsyncIterator[Watching]:
        """A watch, which has to be welcome."""
        headers = self.headers | {"Accept": accept}
        async with self.session.get(
            self.url + path, params={"watch": "true", **query}, headers=headers, ssl=self.tls
        ) as response:
            assert response.status == 200, await response.text()
            try:
                yield Watching(response)
            finally:
                # Closing TLS politely would take longer than the test's loop lives.
                if response.connection and response.connection.transport:
                    response.connection.transport.abort()


def pod(name: str, *, node: str = "", **metadata: Any) -> Json:
    """A Pod, on a node if one is named; then it ends only with grace."""
    spec = {"containers": [{"name": "main", "image": "example.invalid/main"}]} | ({"nodeName": node} if node else {})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec}


def lease(name: str, **spec: Any) -> Json:
    """A Lease."""
    kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    return {**kind, "metadata": {"name": name}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, **spec}}


def route(name: str, host: str = "a.example.org", **spec: Any) -> Json:
    """An IngressRoute with one rule."""
    rule = {"match": f"Host(`{host}`)", "kind": "Rule", "services": [{"name": "router", "port": 80}]}
    kind = {"apiVersion": "traefik.io/v1alpha1", "kind": "IngressRoute"}
    return {**kind, "metadata": {"name": name}, "spec": {"entryPoints": ["web"], "routes": [rule], **spec}}


def event(name: str, namespace: str, **values: Any) -> Json:
    """An Event of events.k8s.io about a Pod `p`."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "example.org/controller",
        "reportingInstance": "controller-0",
        "action": "Provision",
        "reason": "Ready",
        "type": "Normal",
        "regarding": {"apiVersion": "v1", "kind": "Pod", "name": "p", "namespace": namespace, "uid": "1-2-3"},
        "note": "all is well",
        **values,
    }


def rv(item: Json) -> str:
    """An object's or a list's resourceVersion."""
    version: str = item["metadata"]["resourceVersion"]
    return version
