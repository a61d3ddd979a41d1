"""Where a row is measured: a Cloudflare of the sandbox in this process, a Kubernetes API, programs as their own.

`rows` opens one for each row, starts programs on it and asks what they asked the two servers. Kubernetes is a fresh
kube-apiserver with etcd (`real`), or the sandbox's for a quick look (`sandboxed`).
"""

import asyncio
import signal
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Never

import aiohttp

from bench.bare import Bare
from bench.figures import HELD, OBVIOUS, Row
from fsm.session import hash_of_hostname
from sandbox import operators
from sandbox import stage as stages
from sandbox.cloudflare.access import LIMIT
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
UNLIMITED = 1_000_000  # requests in five minutes: of the obvious way, which needs 4,000 for 1,000 sessions
AT_ONCE = 16  # requests of the bench itself
NODE = "node-1"  # a Pod without a node is gone as soon as it is deleted; in production its containers stop first
LOOK = 0.005  # seconds from one look at what is waited for to the next
# Seconds until a row is given up that waits for one thing: 5,000 held sessions took 700, beside other work.
WITHIN, HELD_WITHIN = 900.0, 1800.0
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
    """For `row`, or the life that begins with it. `environment` is what a program needs for its Kubernetes; `asked`
    what programs have asked of it so far; `bare` what none of them can go below; `told` who was told to end."""

    row: Row
    stage: Stage
    kube: KubeClient
    environment: Mapping[str, str]
    asked: Callable[[], Awaitable[Asked]]
    bare: Bare
    depth: Depth
    told: set[str] = field(default_factory=set)

    @property
    def within(self) -> float:
        """Seconds until the row is given up that waits for one thing."""
        return HELD_WITHIN if self.row.who == HELD else WITHIN

    @property
    def operators(self) -> list[Replica]:
        """The operators that run; the obvious way is none."""
        return [each for each in self.stage.operators if each.is_running and self.row.who != OBVIOUS]

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

    def end(self, replica: Replica, number: signal.Signals) -> None:
        """Send it a signal that ends it."""
        self.told.add(replica.name)
        replica.send(number)

    async def stop_all(self) -> None:
        """End every program, and wait for it."""
        for replica in self.stage.operators:
            if replica.is_running:
                self.told.add(replica.name)
                await replica.stop()

    async def alarm(self) -> Never:
        """Wait for a program to end that nobody has told to.

        Raises:
            RuntimeError: it has ended; tells the end of its log.
        """
        while True:
            for replica in self.stage.operators:
                if not replica.is_running and replica.name not in self.told:
                    end = replica.log.read_text()[-2000:]
                    raise RuntimeError(f"{replica.name} has ended with {replica.process.returncode}: {end}")
            await asyncio.sleep(0.1)

    async def until(self, look: Callable[[], object], every: float = LOOK) -> None:
        """Return once `look`, which is asked every so many seconds, finds something.

        Raises:
            TimeoutError: the row takes for ever.
        """
        async with asyncio.timeout(self.within):
            while not look():
                await asyncio.sleep(every)

    async def create(self, sessions: Iterable[str]) -> None:
        """Make the Pods of these sessions, as fast as it goes."""
        await _all(self.kube.create_session(session, node=NODE) for session in sessions)

    async def touch(self, sessions: Iterable[str], note: str) -> None:
        """Change an annotation of each of these Pods, as the router does once a minute."""
        await _all(self.kube.annotate(session, {"opencode.ai/last-activity": note}) for session in sessions)

    async def delete(self, sessions: Iterable[str]) -> None:
        """Delete the Pods of these sessions, as fast as it goes: they are going, and stay until `bury`."""
        await _all(map(self.kube.delete_session, sessions))

    async def bury(self, sessions: Iterable[str]) -> None:
        """What the kubelet does with Pods that are going, as fast as it goes."""
        await _all(map(self.kube.end_session, sessions))


Open = Callable[[Bare, Row], AbstractAsyncContextManager[Ground]]


@asynccontextmanager
async def sandboxed(bare: Bare, row: Row) -> AsyncIterator[Ground]:
    """Both APIs are the sandbox's."""
    async with _stage(row) as stage:
        yield Ground(row, stage, stage.kube, {}, partial(asked_of_sandbox, stage.kube), bare, HASTY)


@asynccontextmanager
async def real(bare: Bare, row: Row) -> AsyncIterator[Ground]:
    """Kubernetes is kube-apiserver with etcd; programs have exactly the rights of deploy/. Its audit log counts."""
    with control_plane() as cluster:
        namespace = NAMESPACE
        for kind, name in (("namespace", namespace), ("serviceaccount", ACCOUNT)):
            cluster.kubectl("create", kind, name, "--namespace", namespace)
        cluster.kubectl("apply", "--filename", "-", stdin=rendered(namespace))
        kubeconfig = cluster.kubeconfig(cluster.service_account_token(namespace, ACCOUNT))

        async with _stage(row) as stage, _administrator(cluster) as http:
            kube, environment = KubeClient(http, cluster.url), {"KUBECONFIG": str(kubeconfig)}
            asked = AuditLog(partial(cluster.requests_from, namespace, ACCOUNT)).asked
            yield Ground(row, stage, kube, environment, asked, bare, THOROUGH)


@asynccontextmanager
async def _stage(row: Row) -> AsyncIterator[Stage]:
    limit = UNLIMITED if row.who == OBVIOUS else LIMIT
    async with stages.running(World(zone_name=stages.DOMAIN, quota=QUOTA, rate_limit=limit)) as stage:
        stages.seed_foreign(stage.world)
        stage.switchboard.latency = row.latency / 1000
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
