"""IngressRoutes of ours and of others, and an API server that holds them: the world of the route tests."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from controller.living import SharedLiving
from fsm.desired import Route, desired
from fsm.observation import Status
from fsm.session import MANAGED_BY_LABEL, MANAGER, OWNER_LABEL, Profile
from k8s.client import Object
from k8s.pods import SELECTABLE
from k8s.routes import Routes
from tests.k8s.fake import SILENCE, Asked, FakeKube, complete, refusal
from tests.k8s.virtual import now

A = "aaaaaaaaaaaa"
PATH = "/apis/traefik.io/v1alpha1/namespaces/routes/ingressroutes"
PROFILE = Profile(
    domain="example.org",
    suffix="-oc",
    service="http://router:80",
    tunnel_target="t.cfargotunnel.com",
    route_namespace="routes",
    router_service="router",
    middleware="chain",
    owner="me",
    previous_owners=("old",),
)
WANTED = desired(A, PROFILE).routes
SIGN_IN, APP = WANTED


def live(route: Route, version: int, *, labels: dict[str, Any] | None = None, **rest: Any) -> Object:
    metadata = {**route.manifest["metadata"], "uid": f"uid-{route.name}", "resourceVersion": str(version), **rest}
    if labels is not None:
        metadata["labels"] = labels
    return {**route.manifest, "metadata": metadata}


def theirs(route: Route, version: int, owner: str | None = None) -> Object:
    return live(route, version, labels={"team": "x"} | ({OWNER_LABEL: owner} if owner else {}))


def original(route: Route, version: int) -> Object:
    return live(route, version, labels={MANAGED_BY_LABEL: MANAGER})


def event(kind: str, thing: Object) -> Object:
    return {"type": kind, "object": thing}


def conflicting() -> Exception:
    return refusal(409, PATH + "/x", "PATCH")


def gone() -> Exception:
    return refusal(404, PATH + "/x", body={"details": {"name": "x", "kind": "ingressroutes"}})


class World:
    def __init__(self) -> None:
        self.kube = FakeKube()
        self.alive: set[str] = set()
        self.slowness = 0.0  # seconds until it is known who lives
        self.left = 100.0
        self.told: list[str] = []
        self.routes = Routes(
            self.kube,
            namespace="routes",
            owners=("me", "old"),
            living=SharedLiving(self._live, lambda *_: None, now, portion=SELECTABLE),
            remaining=lambda: self.left,
            now=now,
            on_change=self.told.append,
            on_recovered=lambda: self.told.append("recovered"),
        )

    async def _live(self, sessions: Collection[str]) -> set[str]:
        await asyncio.sleep(self.slowness)
        return self.alive & set(sessions)

    @asynccontextmanager
    async def watching(self, *there: Object, then: tuple[Any, ...] = ()) -> AsyncIterator[None]:
        self.kube.streams.append([*(event("ADDED", thing) for thing in there), complete(100), *then, SILENCE])
        task = asyncio.create_task(self.routes.reflector.run())
        await asyncio.sleep(1)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    def status(self) -> Status:
        return self.routes.sight(A, WANTED).status

    def writes(self) -> list[Asked]:
        return [asked for asked in self.kube.asked if asked.method != "GET"]


def as_applied(version: int) -> Any:
    def answer(asked: Asked) -> Object:
        body = asked.body
        metadata = {**body["metadata"], "uid": f"uid-{body['metadata']['name']}", "resourceVersion": str(version)}
        return {**body, "metadata": metadata}

    return answer
