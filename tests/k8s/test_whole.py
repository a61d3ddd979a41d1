"""The whole of `k8s` against the sandbox's API server and the real one over real sockets, new and old, and by the
client that the simulation has in the place of the real one."""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controller.living import SharedLiving
from fsm.codec import KEYS
from fsm.desired import Route, desired
from fsm.errors import ConflictError, GoneError, SessionError, StaleError
from fsm.observation import Status
from fsm.session import HASH_LABEL, OWNER_LABEL, Profile
from k8s.client import Kube, connect
from k8s.elector import Elector
from k8s.events import Events
from k8s.lease_store import LeaseStore
from k8s.pods import SELECTABLE, Pods
from k8s.routes import Routes
from sandbox.kubernetes.api import Settings, new_api
from sandbox.kubernetes.server import running
from tests.controlplane import ControlPlane
from tests.k8s.test_client import kubeconfig
from tests.k8s.virtual import now
from tests.property.simulation import wires

A = "aaaaaaaaaaaa"
STATE = "cloudflare.opencode.ai/state"
PROFILE = Profile("example.org", "-oc", "http://r", "t.cfargotunnel.com", "", "router", "chain", owner="me")


def pod(name: str = f"opencode-session-{A}") -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": "opencode-router", HASH_LABEL: A}
    metadata = {"name": name, "labels": labels, "annotations": {"opencode.ai/pod-secret": "s"}}
    spec = {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@dataclass
class World:
    url: str
    kube: Kube
    namespace: str
    alive: set[str] = field(default_factory=set)
    gone: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.changed = asyncio.Event()
        self.pods_path = f"/api/v1/namespaces/{self.namespace}/pods"
        self.routes_path = f"/apis/traefik.io/v1alpha1/namespaces/{self.namespace}/ingressroutes"
        self.wanted = self.wanted_by("me")
        self.pods = Pods(
            self.kube,
            namespace=self.namespace,
            selector="app.kubernetes.io/managed-by=opencode-router",
            now=now,
            on_change=self._tell,
            on_gone=lambda pod: self.gone.append(pod.session),
            on_invalid=lambda *_: None,
        )
        self.routes = self.new_routes()

    def wanted_by(self, owner: str) -> tuple[Route, ...]:
        return desired(A, replace(PROFILE, route_namespace=self.namespace, owner=owner)).routes

    def new_routes(self, owner: str = "me") -> Routes:
        return Routes(
            self.kube,
            namespace=self.namespace,
            owners=(owner,),
            living=SharedLiving(self.pods.live, lambda *_: None, now, portion=SELECTABLE),
            remaining=lambda: 100.0,
            now=now,
            on_change=self._tell,
            on_recovered=lambda: None,
        )

    def _tell(self, _: str) -> None:
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def control(self, method: str, knob: str, body: Any = None) -> None:
        call = aiohttp.request(method, f"{self.url}/_sandbox/{knob}", json=body)
        async with call as response:
            assert response.status == 200, await response.text()


@pytest.fixture(
    params=[
        "sandbox",
        "sandbox_without_watchlist",
        "simulation",
        "simulation_without_watchlist",
        pytest.param("cluster", marks=pytest.mark.cluster),
        pytest.param("cluster_without_watchlist", marks=pytest.mark.cluster),
    ]
)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param.startswith("cluster"):
        real: ControlPlane = request.getfixturevalue(request.param)
        config = kubeconfig(tmp_path, real.url, token=real.token, ca=real.ca_file)
        async with connect(config) as kube, following(real.url, kube) as world:
            yield world
    elif request.param.startswith("simulation"):
        api = new_api(
            random=random.Random(1),
            now=time.time(),
            history=1_000,
            settings=Settings(watchlist=request.param == "simulation"),
        )
        async with following("", wires.kube(api)) as world:
            yield world
    else:
        async with in_sandbox(tmp_path, watchlist=request.param == "sandbox") as world:
            yield world


@pytest.fixture(params=[True, False], ids=["sandbox", "sandbox_without_watchlist"])
async def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A world that can be disturbed."""
    async with in_sandbox(tmp_path, watchlist=request.param) as world:
        yield world


@asynccontextmanager
async def in_sandbox(folder: Path, *, watchlist: bool) -> AsyncIterator[World]:
    async with (
        running(settings=Settings(watchlist=watchlist)) as url,
        connect(kubeconfig(folder, url)) as kube,
        following(url, kube) as world,
    ):
        yield world


@asynccontextmanager
async def following(url: str, kube: Kube) -> AsyncIterator[World]:
    """The world of a namespace of its own, with both caches complete."""
    namespace = {"metadata": {"name": f"test-{secrets.token_hex(4)}"}}
    await kube.request("POST", "/api/v1/namespaces", body=namespace)
    world = World(url, kube, namespace["metadata"]["name"])
    reflectors = (world.pods.reflector, world.routes.reflector)
    tasks = [asyncio.create_task(reflector.run()) for reflector in reflectors]
    try:
        async with asyncio.timeout(20):
            for reflector in reflectors:
                await reflector.synced.wait()
        yield world
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_a_pod_is_seen_written_to_and_seen_to_go(world: World) -> None:
    await world.kube.request("POST", world.pods_path, body=pod())
    await world.until(lambda: world.pods.sessions() == {A})
    (seen,) = world.pods.of(A)
    written = await world.pods.write(seen, {STATE: "Pending"}, KEYS)
    assert written.annotations == {STATE: "Pending"}
    with pytest.raises(StaleError):
        await world.pods.write(seen, {STATE: "Ready"}, KEYS)
    assert await world.pods.live({A}) == {A}
    await world.kube.request("DELETE", f"{world.pods_path}/{seen.name}")
    await world.until(lambda: A in world.gone)
    assert await world.pods.live({A}) == set()
    (there,) = world.pods.of(A)
    assert there.deleting
    await world.kube.request("DELETE", f"{world.pods_path}/{seen.name}", body={"gracePeriodSeconds": 0})
    await world.until(lambda: not world.pods.of(A))
    with pytest.raises(GoneError):
        await world.pods.write(there, {STATE: "TearingDown"}, KEYS)


async def refused(world: World, method: str, path: str, body: Any = None, kind: str | None = None) -> str:
    with pytest.raises(SessionError) as error:
        await world.kube.request(method, path, body=body, content_type=kind)
    return error.value.reason


async def test_every_refusal_is_told_in_the_same_words(world: World) -> None:
    made = await world.kube.request("POST", world.pods_path, body=pod())
    path = f"{world.pods_path}/{made['metadata']['name']}"
    missing, elsewhere = f"{world.pods_path}/missing", "/api/v1/namespaces/nowhere/pods"
    untrue = [{"op": "test", "path": "/metadata/uid", "value": "another"}]
    assert await refused(world, "GET", missing) == "ObjectGone"
    assert await refused(world, "POST", world.pods_path, pod()) == "ObjectChanged"
    assert await refused(world, "POST", elsewhere, pod()) == "NamespaceMissing"
    assert await refused(world, "PATCH", path, untrue, "application/json-patch+json") == "ObjectChanged"
    assert await refused(world, "POST", world.pods_path, pod("Not_A_Name")) == "KubernetesRejected"
    assert await refused(world, "DELETE", path, {"preconditions": {"uid": "another"}}) == "ObjectChanged"
    assert await refused(world, "GET", "/apis/traefik.io/v1/ingressroutes") == "RouteKindMissing"
    assert await refused(world, "GET", "/apis/example.org/v1/cars") == "KindMissing"


async def test_a_watch_tells_what_it_was_asked_for_until_its_time_is_over(world: World) -> None:
    other = pod("other")
    other["metadata"]["labels"][HASH_LABEL] = "b" * 12
    made = await world.kube.request("POST", world.pods_path, body=other)
    query = (
        ("watch", "true"),
        ("resourceVersion", made["metadata"]["resourceVersion"]),
        ("labelSelector", f"{HASH_LABEL}={A}"),
        ("timeoutSeconds", "2"),
    )
    async with world.kube.stream(world.pods_path, query=query, idle=20) as events:
        made = await world.kube.request("POST", world.pods_path, body=pod())
        await world.kube.request("DELETE", f"{world.pods_path}/other", body={"gracePeriodSeconds": 0})
        path = f"{world.pods_path}/{made['metadata']['name']}"
        await world.kube.request("DELETE", path, body={"gracePeriodSeconds": 0})
        told = [(event["type"], event["object"]["metadata"]["name"]) async for event in events]
    name = made["metadata"]["name"]
    assert told[0] == ("ADDED", name)
    assert told[-1] == ("DELETED", name)
    assert {each for _, each in told} == {name}


async def test_an_answer_is_the_callers_own(world: World) -> None:
    made = await world.kube.request("POST", world.pods_path, body=pod())
    path = f"{world.pods_path}/{made['metadata']['name']}"
    made["metadata"]["labels"]["spoilt"] = "yes"
    assert "spoilt" not in (await world.kube.request("GET", path))["metadata"]["labels"]


async def test_a_pod_without_annotations_can_be_written_to(world: World) -> None:
    bare = pod()
    del bare["metadata"]["annotations"]
    await world.kube.request("POST", world.pods_path, body=bare)
    await world.until(lambda: world.pods.sessions() == {A})
    (seen,) = world.pods.of(A)
    assert seen.bare
    written = await world.pods.write(seen, {STATE: "Pending"}, KEYS)
    assert (written.annotations, written.bare) == ({STATE: "Pending"}, False)


async def test_routes_are_made_repaired_and_removed(world: World) -> None:
    await world.routes.ensure(world.wanted, now())
    assert world.routes.sight(A, world.wanted).status is Status.PRESENT
    name = world.wanted[1].name
    patch = {"spec": {"entryPoints": ["other"]}}
    await world.kube.request(
        "PATCH", f"{world.routes_path}/{name}", body=patch, content_type="application/merge-patch+json"
    )
    await world.until(lambda: world.routes.sight(A, world.wanted).status is Status.MISSING)
    await world.routes.ensure(world.wanted, 0.0)
    assert world.routes.sight(A, world.wanted).status is Status.PRESENT
    await world.routes.look(now())
    await world.routes.remove(A, ())
    assert world.routes.sessions() == set()
    assert (await world.kube.request("GET", world.routes_path))["items"] == []


async def test_another_owner_who_has_not_seen_our_routes_yet_does_not_change_them(world: World) -> None:
    await world.routes.ensure(world.wanted, now())
    before = (await world.kube.request("GET", world.routes_path))["items"]
    with pytest.raises(ConflictError, match="belongs to owner me"):
        await world.new_routes("other").ensure(world.wanted_by("other"), now())
    assert (await world.kube.request("GET", world.routes_path))["items"] == before


async def test_a_foreign_route_stays_as_it_is_also_when_it_was_not_seen_yet(world: World) -> None:
    route = world.wanted[0]
    theirs = {**route.manifest, "metadata": {"name": route.name}, "spec": {"entryPoints": ["x"], "routes": []}}
    made = await world.kube.request("POST", world.routes_path, body=theirs)
    blind = world.new_routes()
    with pytest.raises(ConflictError):
        await blind.ensure(world.wanted, now())
    assert (await world.kube.request("GET", f"{world.routes_path}/{route.name}"))["spec"] == made["spec"]
    await blind.look(now())
    assert blind.sight(A, world.wanted).status is Status.FOREIGN


async def test_the_original_operators_route_is_taken_over(world: World) -> None:
    route = world.wanted[0]
    labels = {"app.kubernetes.io/managed-by": "opencode-cloudflare-operator"}
    old = {**route.manifest, "metadata": {"name": route.name, "labels": labels}}
    await world.kube.request("POST", world.routes_path, body=old)
    await world.until(lambda: world.routes.reflector.get(route.name) is not None)
    assert world.routes.sessions() == set()
    await world.routes.ensure(world.wanted, now())
    assert world.routes.sessions() == {A}
    taken = await world.kube.request("GET", f"{world.routes_path}/{route.name}")
    assert taken["metadata"]["labels"][OWNER_LABEL] == "me"


async def test_a_cut_watch_and_a_compacted_history_lose_nothing(sandbox: World) -> None:
    await sandbox.kube.request("POST", sandbox.pods_path, body=pod())
    await sandbox.until(lambda: sandbox.pods.sessions() == {A})
    await sandbox.control("PATCH", "settings", {"down": True})
    await sandbox.control("PATCH", "settings", {"down": False})
    await sandbox.kube.request("DELETE", f"{sandbox.pods_path}/opencode-session-{A}", body={"gracePeriodSeconds": 0})
    other = pod("other")
    other["metadata"]["labels"][HASH_LABEL] = "b" * 12
    await sandbox.kube.request("POST", sandbox.pods_path, body=other)
    await sandbox.control("POST", "compact")
    await sandbox.until(lambda: sandbox.pods.sessions() == {"b" * 12})


async def test_leadership_goes_from_one_to_the_next_over_http(world: World) -> None:
    led: list[str] = []

    def elector(name: str) -> Elector:
        store = LeaseStore(world.kube, namespace=world.namespace, name="op")
        return Elector(
            store,
            identity=name,
            duration=3.0,
            now=now,
            wall=lambda: datetime.now(UTC),
            on_annotations=lambda _: None,
        )

    def work(name: str) -> Callable[[], Any]:
        async def lead() -> None:
            led.append(name)
            world.changed.set()
            await asyncio.Event().wait()

        return lead

    first = asyncio.create_task(elector("a").run(work("a")))
    await world.until(lambda: led == ["a"])
    second = asyncio.create_task(elector("b").run(work("b")))
    first.cancel()
    await world.until(lambda: led == ["a", "b"])
    second.cancel()
    await asyncio.wait({first, second})
    facts = await LeaseStore(world.kube, namespace=world.namespace, name="op").facts()
    assert facts.holder == ""


async def test_an_event_is_taken_and_counted(world: World) -> None:
    await world.kube.request("POST", world.pods_path, body=pod())
    await world.until(lambda: world.pods.sessions() == {A})
    (seen,) = world.pods.of(A)
    events = Events(world.kube, instance="i", wall=lambda: datetime.now(UTC))
    for _ in range(2):
        await events.post(seen, reason="Ready", note="n", warning=False)
        assert events.problem is None
    (event,) = (await world.kube.request("GET", f"/apis/events.k8s.io/v1/namespaces/{world.namespace}/events"))["items"]
    assert event["regarding"]["uid"] == seen.uid
    assert event["series"]["count"] == 2
