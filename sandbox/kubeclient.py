"""The few requests that the demo and the journey tests make as the router and as people do: plain HTTP, plain dicts."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from fsm.session import HASH_LABEL, MANAGED_BY_LABEL, PREFIX

NAMESPACE = "opencode-router"
MERGE_PATCH = "application/merge-patch+json"
_ENDLESS = aiohttp.ClientTimeout(total=None)
ROUTES = "/apis/traefik.io/v1alpha1/namespaces/{}/ingressroutes"


class KubeClient:
    """One namespace of an API server without credentials."""

    def __init__(self, http: aiohttp.ClientSession, url: str, namespace: str = NAMESPACE) -> None:
        self._http = http
        self._url = url
        self.namespace = namespace
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._routes = ROUTES.format(namespace)

    async def request(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """The JSON that the server answers.

        Raises:
            RuntimeError: the status is no success.
        """
        async with self._http.request(
            method, self._url + path, json=body, headers={"Content-Type": kind} if body is not None else {}
        ) as reply:
            answer = await reply.json()
            if reply.status >= 300:
                raise RuntimeError(f"{method} {path}: {reply.status} {answer.get('message')}")
            return answer

    async def create_session(self, session: str, *, node: str = "", **labels: str) -> Mapping[str, Any]:
        """Create the session's Pod as the router does."""
        return dict(await self.request("POST", self._pods, self.pod(session, node=node, **labels)))

    def pod(self, session: str, *, node: str = "", **labels: str) -> Mapping[str, Any]:
        """A session Pod's manifest; without a node it is gone as soon as it is deleted."""
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"opencode-session-{session}",
                "namespace": self.namespace,
                "labels": {MANAGED_BY_LABEL: "opencode-router", HASH_LABEL: session, **labels},
                "annotations": {"opencode.ai/last-activity": "0", "opencode.ai/pod-secret": "hush-hush"},
            },
            "spec": {
                # On a node it is deleted as in production: it goes when its containers have stopped (`end_session`).
                **({"nodeName": node} if node else {}),
                "restartPolicy": "Always",
                "containers": [{"name": "opencode", "image": "opencode:1"}],
            },
        }

    async def delete_session(self, session: str) -> None:
        """Delete the session's Pod."""
        await self.request("DELETE", f"{self._pods}/opencode-session-{session}")

    async def session(self, session: str) -> Mapping[str, Any]:
        """The session's Pod."""
        return dict(await self.request("GET", f"{self._pods}/opencode-session-{session}"))

    async def annotate(self, session: str, annotations: Mapping[str, str | None]) -> None:
        """Set annotations of the session's Pod (None: remove) as the router does, or a person with kubectl."""
        body = {"metadata": {"annotations": annotations}}
        await self.request("PATCH", f"{self._pods}/opencode-session-{session}", body, MERGE_PATCH)

    async def events(self, pod: str) -> list[Mapping[str, Any]]:
        """The Events about the Pod of this name."""
        found = await self.request("GET", f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")
        return [event for event in found["items"] if event["regarding"]["name"] == pod]

    async def annotations(self) -> dict[str, dict[str, str]]:
        """Our annotations of every session Pod, by hash and without the prefix."""
        pods = (await self.request("GET", self._pods))["items"]
        return {pod["metadata"]["labels"][HASH_LABEL]: ours(pod) for pod in pods if is_session(pod)}

    async def watch(self) -> AsyncIterator[Mapping[str, Any]]:
        """Every change of a session Pod from now on, beginning with those that exist: no state is missed."""
        async for _, pod in self.follow(self._pods):
            if is_session(pod):
                yield pod

    async def follow(self, path: str) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
        """Every change of the collection at `path` as type and object, beginning with what exists (ADDED)."""
        query = "?watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
        async with self._http.get(self._url + path + query, timeout=_ENDLESS) as reply:
            async for line in reply.content:
                event = json.loads(line)
                if event["type"] != "BOOKMARK":
                    yield event["type"], event["object"]

    async def end_session(self, session: str) -> None:
        """What the kubelet does once the containers have stopped."""
        await self.request("DELETE", f"{self._pods}/opencode-session-{session}?gracePeriodSeconds=0")

    async def routes(self) -> dict[str, Any]:
        """Every IngressRoute of the namespace, by name."""
        return {route["metadata"]["name"]: route for route in (await self.request("GET", self._routes))["items"]}

    async def create_route(self, route: Mapping[str, Any]) -> None:
        """Create an IngressRoute as somebody else does."""
        await self.request("POST", self._routes, route)


def is_session(pod: Mapping[str, Any]) -> bool:
    """Whether the Pod has a session hash."""
    return HASH_LABEL in (pod["metadata"].get("labels") or {})


def ours(pod: Mapping[str, Any]) -> dict[str, str]:
    """Our annotations of this Pod, without the prefix."""
    found = pod["metadata"].get("annotations") or {}
    return {key.removeprefix(PREFIX): text for key, text in found.items() if key.startswith(PREFIX)}


@asynccontextmanager
async def client(url: str, namespace: str = NAMESPACE) -> AsyncIterator[KubeClient]:
    """A client for the API server at `url`."""
    async with aiohttp.ClientSession() as http:
        yield KubeClient(http, url, namespace)
