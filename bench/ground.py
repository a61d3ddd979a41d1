"""Where a row is measured: a Cloudflare of the sandbox in this process, a Kubernetes API, programs as their own.

`rows` opens one for each row, starts programs on it and asks what they asked the two servers. Kubernetes is a fresh
kube-apiserver with etcd (`real`), or the sandbox's for a quick look (`sandboxed`).
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import aiohttp

from bench.bare import Bare
from fsm.session import hash_of_hostname
from sandbox import operators
from sandbox import stage as stages
from sandbox.cloudflare.switchboard import Switchboard
from sandbox.cloudflare.world import World
from sandbox.kubeclient import NAMESPACE, KubeClient
from sandbox.operators import Replica
from sandbox.stage import Stage
from tests.cluster.manifests import ACCOUNT, rendered
from tests.controlplane import ControlPlane, control_plane

OPERATOR = "controller"
# The shipped defaults, where the stage is in a hurry.
AS_SHIPPED = {"LEASE_DURATION": "15", "RESYNC_INTERVAL": "60", "ORPHAN_GRACE": "120"}
QUOTA = 20_000  # records
AT_ONCE = 16  # requests of the bench itself
# What only the bench does where the server does not tell who asked: the router's part.
OWN = {"POST pods", "DELETE pods", "PATCH pods"}
VERBS = {"create": "POST", "update": "PUT", "get": "GET", "list": "GET"}

Asked = Counter[str]  # "PATCH pods/status" -> how often


class Depth(NamedTuple):
    """How much time a row is given: seconds without any move that count as rest, repetitions of a start, minutes of
    rest that are watched at most, seconds of it as shipped, seconds of the lease of leaders that will end."""

    quiet: float
    starts: int
    minutes: int
    rest: float
    lease: int


# Both quiets are longer than wishes gather while nothing moves. The lease is as shipped, or short.
THOROUGH = Depth(quiet=6.0, starts=3, minutes=60, rest=10.0, lease=15)
HASTY = Depth(quiet=2.5, starts=1, minutes=2, rest=4.0, lease=3)


@dataclass(frozen=True)
class Ground:
    """`environment` is what a program needs for its Kubernetes; `asked` what programs have asked of it so far; `bare`
    what none of them can go below."""

    stage: Stage
    kube: KubeClient
    environment: Mapping[str, str]
    asked: Callable[[], Awaitable[Asked]]
    bare: Bare
    depth: Depth

    @property
    def cloudflare(self) -> Switchboard:
        """The server's side of Cloudflare: calls, latency, world."""
        return self.stage.switchboard

    def of_sessions(self) -> list[str]:
        """The names of records and rules of sessions that Cloudflare has."""
        records = [str(record["name"]) for record in self.cloudflare.world.records.all()]
        rules = [str(rule.get("hostname")) for rule in self.stage.rules()]
        return [name for name in (*records, *rules) if hash_of_hostname(name)]

    async def start(self, name: str, module: str = OPERATOR, **changes: str) -> Replica:
        """Start a program; it ends with the ground."""
        environment = self.stage.environment(POD_NAME=name, **AS_SHIPPED, **self.environment) | changes
        replica = await operators.start(name, environment, self.stage.folder, module=module)
        self.stage.operators.append(replica)
        return replica

    async def create(self, sessions: Iterable[str]) -> None:
        """Make the Pods of these sessions, as fast as it goes."""
        await _all(map(self.kube.create_session, sessions))

    async def touch(self, sessions: Iterable[str], note: str) -> None:
        """Change an annotation of each of these Pods, as the router does once a minute."""
        await _all(self.kube.annotate(session, {"opencode.ai/last-activity": note}) for session in sessions)

    async def delete(self, sessions: Iterable[str]) -> None:
        """Delete the Pods of these sessions, as fast as it goes."""
        await _all(map(self.kube.delete_session, sessions))


Open = Callable[[Bare], AbstractAsyncContextManager[Ground]]


@asynccontextmanager
async def sandboxed(bare: Bare) -> AsyncIterator[Ground]:
    """Both APIs are the sandbox's."""
    async with _stage() as stage:
        yield Ground(stage, stage.kube, {}, partial(asked_of_sandbox, stage.kube), bare, HASTY)


@asynccontextmanager
async def real(bare: Bare) -> AsyncIterator[Ground]:
    """Kubernetes is kube-apiserver with etcd; programs have exactly the rights of deploy/. Its audit log counts."""
    with control_plane() as cluster:
        namespace = NAMESPACE
        for kind, name in (("namespace", namespace), ("serviceaccount", ACCOUNT)):
            cluster.kubectl("create", kind, name, "--namespace", namespace)
        cluster.kubectl("apply", "--filename", "-", stdin=rendered(namespace))
        kubeconfig = cluster.kubeconfig(cluster.service_account_token(namespace, ACCOUNT))

        asked = AuditLog(partial(cluster.requests_from, namespace, ACCOUNT)).asked
        async with _stage() as stage, _administrator(cluster) as http:
            yield Ground(stage, KubeClient(http, cluster.url), {"KUBECONFIG": str(kubeconfig)}, asked, bare, THOROUGH)


@asynccontextmanager
async def _stage() -> AsyncIterator[Stage]:
    async with stages.running(World(zone_name=stages.DOMAIN, quota=QUOTA)) as stage:
        stages.seed_foreign(stage.world)
        yield stage


async def asked_of_sandbox(kube: KubeClient) -> Asked:
    """What programs have asked of the sandbox's API server so far: all but the router's part."""
    found = Asked()
    for call in await kube.request("GET", "/_sandbox/calls"):
        found[f"{'WATCH' if call['is_watch'] else call['method']} {_resource(call['path'])}"] += call["count"]
    return Asked({key: number for key, number in found.items() if key not in OWN})


def upkeep(asked: Asked) -> Asked:
    """What of it is asked whether there are sessions or not, as long as the program runs: watches and the lease."""
    return Asked({key: n for key, n in asked.items() if key.endswith(" leases") or key.startswith("WATCH")})


def _administrator(cluster: ControlPlane) -> aiohttp.ClientSession:
    trust = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=cluster.ca_file))
    return aiohttp.ClientSession(connector=trust, headers={"Authorization": f"Bearer {cluster.token}"})


class AuditLog:
    """What programs have asked of kube-apiserver; each look goes on where the one before has ended.

    `read(position)` gives the events from there on, and the position behind them.
    """

    def __init__(self, read: Callable[[int], tuple[list[dict[str, Any]], int]]) -> None:
        self._read = read
        self._position = 0
        self._asked = Asked()

    async def asked(self) -> Asked:
        """So far."""
        events, self._position = self._read(self._position)
        # A watch is told twice: when it is answered, and when it ends.
        self._asked.update(_audited(e) for e in events if e["verb"] != "watch" or e["stage"] == "ResponseStarted")
        return Asked(self._asked)


def _audited(event: Mapping[str, Any]) -> str:
    target = event.get("objectRef", {})
    verb = str(event["verb"])
    resource = "/".join(filter(None, (target.get("resource"), target.get("subresource"))))
    return f"{VERBS.get(verb, verb.upper())} {resource}"


def _resource(path: str) -> str:
    """`…/namespaces/NAMESPACE/pods/NAME/status` -> pods/status."""
    _, _, below = path.partition("/namespaces/")
    return "/".join(below.split("/")[1::2])


async def _all(work: Iterable[Awaitable[object]]) -> None:
    """Everything, `AT_ONCE` at a time."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(each: Awaitable[object]) -> None:
        async with turns:
            await each

    await asyncio.gather(*map(one, work))
