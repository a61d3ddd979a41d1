"""A site with a relay on each way of each operator: what the cut points, the standstills and the chaos happen on.

Everything here lives on the event loop of the test: relays, waiting, and the start of processes (the kernel ends them
with the thread that started them). What blocks (kubectl, looks at the API server) goes to a thread, so that many
grounds can be used at once without holding up each other's leases.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.cluster.cutpoints.kinds import Kind, is_of_lease
from tests.cluster.cutpoints.relay import Call, Hold, Relay
from tests.cluster.manifests import pod_name
from tests.cluster.site import Json, Operator, Site, site
from tests.controlplane import ControlPlane
from tests.controlplane.process import Program

T = TypeVar("T")

KUBERNETES, CLOUDFLARE = "Kubernetes", "Cloudflare"
WITHIN = 45.0  # seconds until something is given up; nothing is judged by how long it took
LOOK = 0.2  # seconds between two looks that cost requests
ENVIRONMENT = {
    "LEASE_DURATION": "3",  # seconds; the settings take nothing shorter
    # Looks by the clock would come between the requests that are counted, and would mend in time what a take-over
    # forgets: an hour is longer than any test.
    "RESYNC_INTERVAL": "3600",
}


@dataclass
class Replica:
    """One operator and its two ways; `calls` is what it asked of both since it became what it is, watches apart."""

    operator: Operator
    relays: dict[str, Relay]
    calls: list[Call]

    def hold(self, kind: Kind, nth: int, when: str) -> Hold:
        """Stop its `nth` request of this kind from now on, once."""
        return self.relays[kind.server].hold(kind, nth, when)

    def lease_writes(self) -> list[Call]:
        """How it took and kept the lease: a standby only reads it."""
        written = [call for call in self.calls if is_of_lease(call.kind) and call.kind.is_write]
        return [call for call in written if call.status in (200, 201)]

    def has_taken_over(self) -> bool:
        return bool(self.lease_writes())

    async def is_quiet(self) -> None:
        """Return when it has kept the lease twice from now on, and nothing else was under way then."""
        enough = len(self.lease_writes()) + 2
        await until(lambda: len(self.lease_writes()) >= enough, f"{self.operator.name} keeps the lease")
        await until(lambda: all(call.status for call in self.calls[:-1]), f"{self.operator.name} has its answers")

    def kill(self) -> None:
        """End it with -9."""
        self.operator.program.kill()

    def send(self, number: signal.Signals) -> None:
        os.kill(self.operator.program.pid, number)

    async def has_synced(self) -> None:
        """Return when its caches are complete: from then on it is a witness of what goes."""

        def look() -> bool:
            return all(watch["synced"] for watch in self.operator.health()["watches"].values())

        await until_found(look, f"{self.operator.name} has read everything")

    async def stops_leading(self) -> None:
        """Return when it says that it does not lead; what it asked before is forgotten."""
        await until_found(lambda: self.operator.health()["role"] == "standby", f"{self.operator.name} stops leading")
        self.calls.clear()


@dataclass
class Ground:
    """`replicas` are those that run; the first one leads, or will."""

    site: Site
    environment: dict[str, str]
    ending: contextlib.AsyncExitStack
    replicas: list[Replica] = field(default_factory=list)

    async def start(self) -> Replica:
        """Start one more operator; return when it has read everything."""
        replica = await self.spawn()
        await until(lambda: "serving /healthz" in replica.operator.log(), f"{replica.operator.name} runs")
        await replica.has_synced()
        return replica

    async def spawn(self) -> Replica:
        """Start one more operator, as the kubelet starts a container again."""
        name, calls = f"operator-{len(self.site.operators)}", list[Call]()
        trust = ssl.create_default_context(cafile=self.site.cluster.ca_file)
        relays = {
            KUBERNETES: Relay(KUBERNETES, self.site.cluster.url, trust, calls),
            CLOUDFLARE: Relay(CLOUDFLARE, self.site.cloudflare.places.api.removesuffix("/client/v4"), None, calls),
        }
        for relay in relays.values():
            await self.ending.enter_async_context(relay.running())
        replica = Replica(self._spawned(name, relays), relays, calls)
        self.replicas.append(replica)
        return replica

    def _spawned(self, name: str, relays: dict[str, Relay]) -> Operator:
        ways = {
            "KUBECONFIG": str(self._kubeconfig(name, relays[KUBERNETES].url)),
            "CLOUDFLARE_BASE_URL": f"{relays[CLOUDFLARE].url}/client/v4",
            "POD_NAME": name,
        }
        log, command = self.site.folder / f"{name}.log", [sys.executable, "-m", "controller"]
        operator = Operator(name, Program(command, log=log, env=self.environment | ways))
        self.site.operators.append(operator)
        operator.program.start(lambda: True)  # the rest is waited for without blocking
        return operator

    def _kubeconfig(self, name: str, url: str) -> Path:
        config = json.loads(Path(self.environment["KUBECONFIG"]).read_text())
        config["clusters"][0]["cluster"] = {"server": url}
        path = self.site.folder / f"kubeconfig-{name}"
        path.write_text(json.dumps(config))
        return path

    async def fill(self) -> None:
        """A leader, and a standby that has seen all that it has seen."""
        if not self.replicas:
            await self.start()
            await self.heir()
        if len(self.replicas) < 2:
            await self.start()

    async def heir(self) -> Replica:
        """The first one, when it leads."""
        await until(lambda: self.replicas and self.replicas[0].has_taken_over(), "the next one leads")
        return self.replicas[0]

    async def kill(self, victim: Replica) -> None:
        """End it with -9; return when the next one leads and another process was started in its place."""
        victim.kill()
        self.replicas.remove(victim)
        await asyncio.gather(self.start(), self.heir())

    async def create(self, *sessions: str) -> None:
        """Make their Pods, on a node: deleted, they go when the test, playing the kubelet, ends them."""
        await asyncio.to_thread(self.site.create, *sessions, nodeName="node-1")

    async def delete(self, *sessions: str) -> None:
        """Delete their Pods, as the router does."""
        await self._delete(sessions, "--wait=false")

    async def evict(self, *sessions: str) -> None:
        """Their node is drained."""
        await asyncio.gather(*(asyncio.to_thread(self.site.evict, session) for session in sessions))

    async def end(self, *sessions: str) -> None:
        """End their Pods at once: nobody ever sees them going."""
        await self._delete(sessions, "--grace-period=0", "--force")

    async def lose_namespace(self, *sessions: str) -> None:
        """Delete it; the test, playing the namespace controller and the kubelet, ends the Pods of these sessions."""
        name = self.site.namespace
        await asyncio.to_thread(self.site.cluster.kubectl, "delete", "namespace", "--wait=false", name)
        await self.end(*sessions)

    async def _delete(self, sessions: tuple[str, ...], *how: str) -> None:
        names = map(pod_name, sessions)
        await asyncio.to_thread(self.site.kubectl, "delete", "pod", "--ignore-not-found", *how, *names)

    async def ready(self, *sessions: str) -> None:
        """Return when all of these sessions are Ready and nothing is in their way."""

        def look() -> bool:
            records = self.site.records()
            mine = [records.get(session, {}) for session in sessions]
            return all(record.get("state") == "Ready" and "last-error" not in record for record in mine)

        await until_found(look, f"{len(sessions)} sessions are Ready", self.site.records)

    async def hears(self) -> None:
        """Return when nothing is in the way of any watch: what goes from now on is seen to go, by everybody."""

        def troubles() -> list[str]:
            topics = [topic for each in self.replicas for topic in each.operator.health()["problems"]]
            return [topic for topic in topics if topic.startswith("watch ")]

        await until_found(lambda: not troubles(), "all watches go on", troubles)

    async def clean(self) -> None:
        """Return when nothing of any session is left anywhere."""
        await until_found(lambda: not self.site.left(), "nothing is left", self.site.left)

    async def swept(self) -> None:
        """Return when nothing is left, be it by the hand of a person who has read `SweepHeld` and has looked."""

        def look() -> bool:
            return not self.site.left() or any("SweepHeld" in each.operator.problems() for each in self.replicas)

        await until_found(look, "nothing is left, or too much to believe", self.site.left)
        if await asyncio.to_thread(self.site.left):
            done = await asyncio.to_thread(self.site.sweep, "--force", self.environment)
            assert (done.returncode, done.stderr) == (0, ""), done
        await self.clean()

    async def looks_like(self, wanted: Json, session: str) -> None:
        """Return when the world is exactly as in this picture."""
        await until_found(
            lambda: self.picture(session) == wanted, "all is as it should be", lambda: self.picture(session)
        )

    def picture(self, session: str) -> Json:
        """Everything in Cloudflare and all routes, and what the session's Pod says; its hash is blotted out."""
        of_routes = f"/apis/traefik.io/v1alpha1/namespaces/{self.site.namespace}/ingressroutes"
        routes = self.site.get(of_routes)["items"]
        record = self.site.records().get(session, {})
        told = {
            "records": {record["name"] + record["type"]: _told(record) for record in self.site.cloudflare.records()},
            "tunnel": self.site.cloudflare.ask(lambda board: board.world.tunnel.config),
            "routes": {item["metadata"]["name"]: [item["metadata"]["labels"], item["spec"]] for item in routes},
            "annotations": {key: record.get(key) for key in ("state", "hostname", "service", "last-error")},
        }
        text = json.dumps(told, sort_keys=True)
        picture: Json = json.loads(text.replace(session, "{hash}").replace(self.site.namespace, "{namespace}"))
        return picture


def _told(record: Json) -> Json:
    return {key: record.get(key) for key in ("content", "proxied", "ttl", "comment")}


@contextlib.asynccontextmanager
async def ground(cluster: ControlPlane, folder: Path, **changes: str) -> AsyncIterator[Ground]:
    """A ground without operators, in a namespace of its own; every operator and every relay is gone in the end."""
    namespace = f"test-{secrets.token_hex(4)}"
    await asyncio.to_thread(cluster.kubectl, "create", "namespace", namespace)
    folder = folder / namespace
    folder.mkdir()
    here = site(cluster, namespace, folder, router="http://traefik.traefik.svc:80")
    opened = await asyncio.to_thread(here.__enter__)
    with contextlib.ExitStack() as ending:
        ending.push(here)
        environment = await asyncio.to_thread(opened.environment, "")
        async with contextlib.AsyncExitStack() as relays:
            running = Ground(opened, environment | ENVIRONMENT | changes, relays)
            try:
                yield running
            finally:
                # Before the relays: an operator whose way ends would only complain.
                for operator in opened.operators:
                    operator.program.kill()


async def until(look: Callable[[], Any], what: str) -> None:
    """Return when `look`, which may not block, finds anything."""
    try:
        async with asyncio.timeout(WITHIN):
            while not look():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {WITHIN:.0f} s: {what}") from None


async def until_found(look: Callable[[], Any], what: str, tell: Callable[[], Any] = lambda: "") -> None:
    """Return when `look`, which may block, finds anything; `tell` says what was there instead."""
    try:
        async with asyncio.timeout(WITHIN):
            while not await asyncio.to_thread(look):
                await asyncio.sleep(LOOK)
    except TimeoutError:
        raise AssertionError(f"not within {WITHIN:.0f} s: {what}; instead: {await asyncio.to_thread(tell)}") from None
