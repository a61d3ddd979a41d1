"""The stage: one world, replicas of the shipped operator in it, and everything that people, routers and fate can do.

`test_simulation` turns each method into a rule. Nothing here asserts; `monitor` does.
"""

import asyncio
import json
from collections.abc import Mapping
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from controller.app import Operator
from controller.settings import Settings
from fsm.desired import desired
from fsm.session import HASH_LABEL, MANAGED_BY_LABEL, PREFIX, Profile, hash_of_hostname, hash_of_route
from sandbox.cloudflare import world as cloudflare_world
from sandbox.cloudflare.world import World
from sandbox.kubeclient import NAMESPACE
from sandbox.kubernetes.api import Settings as KubeSettings
from sandbox.kubernetes.api import new_api
from sandbox.kubernetes.requests import Request, Response
from sandbox.stage import DOMAIN, FOREIGN_RECORDS, FOREIGN_ROUTE, FOREIGN_TUNNEL
from tests.property.simulation.cloudflare import SimulatedTransport
from tests.property.simulation.kube import SimulatedKube, WatchTroubles
from tests.property.simulation.loop import REPLICA, SimulatedLoop
from tests.property.simulation.monitor import Monitor
from tests.property.simulation.network import Network

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
ROUTES = f"/apis/traefik.io/v1alpha1/namespaces/{NAMESPACE}/ingressroutes"
EPOCH = datetime(2026, 11, 23, tzinfo=UTC)
SERVICE = "http://router.svc:80"
ENVIRONMENT = {
    "CF_API_TOKEN": cloudflare_world.TOKEN,
    "CF_ZONE_ID": cloudflare_world.ZONE_ID,
    "CF_TUNNEL_ID": cloudflare_world.TUNNEL_ID,
    "DOMAIN": DOMAIN,
    "ROUTE_SUFFIX": "-oc",
    "ROUTER_SERVICE_URL": SERVICE,
}


@dataclass
class Replica:
    """One operator process; `task` is its main task."""

    number: int
    operator: Operator
    stop: asyncio.Event
    task: asyncio.Task[None]
    is_alive: bool = True
    is_paused: bool = False


class Simulation:
    """A world on virtual time, all of whose chance comes from `seed`."""

    def __init__(self, seed: int, *, watchlist: bool = True, quota: int = 200) -> None:
        self.random = Random(seed)
        self.loop = SimulatedLoop(self.random)
        asyncio.set_event_loop(self.loop)
        self.world = World(zone_name=DOMAIN, quota=quota)
        self.api = new_api(
            random=self.random,
            now=self.unix(),
            history=10_000,
            settings=KubeSettings(watchlist=watchlist),
            namespaces=[NAMESPACE],
        )
        self.monitor = Monitor(self.world, self.api, self.loop.time)
        self.network = Network(self.loop, self.random)
        self.troubles = WatchTroubles()
        self.replicas: list[Replica] = []
        self.environment = dict(ENVIRONMENT)
        self.intruders = 0  # how many of the next writes of the tunnel are overtaken by a tool
        self._uids = 0
        self._seed_foreign()

    def unix(self) -> float:
        """The world's own time."""
        return EPOCH.timestamp() + self.loop.time()

    # Replicas

    def start(self, *, skew: float = 0.0, **changes: str) -> Replica:
        """One more operator, whose wall clock is `skew` seconds off."""
        number = len(self.replicas)
        settings = Settings.from_env(self.environment | {"POD_NAME": f"operator-{number}"} | changes)
        self.monitor.profiles.append(settings.profile)
        self.monitor.tell("fate", f"replica {number} starts {changes or ''}")
        kube = SimulatedKube(self.api, self.network, self.monitor, self.troubles, self.unix)
        transport = SimulatedTransport(self.world, self.network, self.monitor, self.unix, self._intrude)
        context = copy_context()
        context.run(REPLICA.set, number)
        wall = lambda: EPOCH + timedelta(seconds=self.loop.time() + skew)  # noqa: E731 (two words for a clock)

        async def main() -> None:
            rng = Random(self.random.getrandbits(32))
            operator = Operator(settings, kube, transport, now=self.loop.time, wall=wall, rng=rng)
            mine.operator = operator
            await operator.work(mine.stop)

        mine = Replica(number, None, asyncio.Event(), None)  # type: ignore[arg-type]  # both set at once below
        mine.task = self.loop.create_task(main(), context=context)
        self.replicas.append(mine)
        self.run(0.0)
        return mine

    def kill(self, replica: Replica) -> None:
        """Kill -9: it stops where it is, for ever."""
        replica.is_alive = False
        self.monitor.tell("fate", f"replica {replica.number} is killed")
        self.loop.pause(replica.number)

    def pause(self, replica: Replica) -> None:
        """SIGSTOP."""
        replica.is_paused = True
        self.monitor.tell("fate", f"replica {replica.number} is paused")
        self.loop.pause(replica.number)

    def resume(self, replica: Replica) -> None:
        """SIGCONT."""
        replica.is_paused = False
        self.monitor.tell("fate", f"replica {replica.number} goes on")
        self.monitor.resumed[replica.number] = self.loop.time()
        self.loop.resume(replica.number)

    def terminate(self, replica: Replica) -> None:
        """SIGTERM."""
        self.monitor.tell("fate", f"replica {replica.number} is told to stop")
        replica.stop.set()
        replica.is_alive = False

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.run_until_complete(self._sleep(seconds))

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def close(self) -> None:
        """End every replica in peace (nothing of it reaches the world any more), and the loop."""
        self.network.down |= {"kube", "cloudflare"}
        self.troubles.generation += 1
        for replica in self.replicas:
            self.loop.resume(replica.number)
            replica.task.cancel()
        for _ in range(20):
            left = [task for task in asyncio.all_tasks(self.loop) if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            self.loop.run_until_complete(self._gather(left))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
        asyncio.set_event_loop(None)

    async def _gather(self, tasks: list[asyncio.Task[Any]]) -> None:
        await asyncio.gather(*tasks, return_exceptions=True)

    # The router and the kubelet

    def create_session(self, session: str, *, name: str = "", **labels: str) -> None:
        """A session Pod appears (on a node: it will take its time to go)."""
        self.monitor.tell("router", f"creates {session} {name}")
        self._kube("POST", PODS, self._pod(session, name or f"opencode-session-{session}", labels))

    def delete_session(self, session: str) -> None:
        """The router deletes the Pods of a session."""
        self.monitor.tell("router", f"deletes {session}")
        for pod in self.pods_of(session):
            self._kube("DELETE", f"{PODS}/{pod['metadata']['name']}", {})

    def end_pods(self, session: str) -> None:
        """The kubelet is done with the Pods of a session that are going."""
        self.monitor.tell("kubelet", f"ends {session}")
        for pod in self.pods_of(session):
            if pod["metadata"].get("deletionTimestamp"):
                self._kube("DELETE", f"{PODS}/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})

    def relabel(self, session: str, manager: str | None) -> None:
        """A person changes the label that the operator selects by: the Pods leave the selection, and live on."""
        self.monitor.tell("person", f"sets the managed-by label of {session} to {manager}")
        for pod in self.pods_of(session):
            patch = {"metadata": {"labels": {MANAGED_BY_LABEL: manager}}}
            self._kube("PATCH", f"{PODS}/{pod['metadata']['name']}", patch, "application/merge-patch+json")

    def touch(self, session: str) -> None:
        """The router notes activity."""
        for pod in self.pods_of(session):
            self.annotate(pod, {"opencode.ai/last-activity": str(self.loop.time())})

    def annotate(self, pod: Any, annotations: Mapping[str, str | None]) -> None:
        """A merge patch of a Pod's annotations."""
        patch = {"metadata": {"annotations": dict(annotations)}}
        self._kube("PATCH", f"{PODS}/{pod['metadata']['name']}", patch, "application/merge-patch+json")

    def pods_of(self, session: str) -> list[Any]:
        """The Pods of a session."""
        return [pod for found, pod in self.monitor.pods() if found == session]

    def record_of(self, session: str) -> dict[str, str]:
        """Our annotations of the newest live Pod of a session, without the prefix."""
        live = [pod for pod in self.pods_of(session) if not pod["metadata"].get("deletionTimestamp")]
        newest = max(live, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["uid"]))
        found = newest["metadata"].get("annotations") or {}
        return {key.removeprefix(PREFIX): text for key, text in found.items() if key.startswith(PREFIX)}

    # People

    def edit_record(self, session: str, key: str, text: str | None) -> None:
        """A person edits (or removes) one of our annotations, on every Pod of the session."""
        self.monitor.tell("person", f"sets {key} of {session} to {text!r}")
        for pod in self.pods_of(session):
            self.monitor.hand_edited(pod["metadata"]["uid"])
            self.annotate(pod, {PREFIX + key: text})

    def remove_record(self, name: str) -> None:
        """A person deletes a DNS record."""
        self.monitor.note()
        for record in self.world.records.at(name):
            self.monitor.tell("person", f"deletes the record {name}")
            self.monitor.foreign_records.pop(record["id"], None)
            self.world.records.delete(record["id"])

    def make_foreign_record(self, session: str) -> None:
        """Somebody puts an A record at a session's hostname, in the place of ours if need be."""
        name = desired(session, self.profile).hostname
        self.remove_record(name)
        body = {"type": "A", "name": name, "content": "192.0.2.1", "ttl": 300}
        made = self.world.records.create(body, "2026-01-01T00:00:00Z").body["result"]
        self.monitor.foreign_records[made["id"]] = (self.loop.time(), made)
        self.monitor.tell("person", f"makes a foreign record {name}")

    def write_tunnel(self, *, reset: bool = False, session: str = "", path: str = "") -> None:
        """An infrastructure tool writes the document: its own edit, its whole list, or a rule of a session's name."""
        self.monitor.note()
        config = json.loads(json.dumps(FOREIGN_TUNNEL if reset else self.world.tunnel.config))
        self._uids += 1
        rule = {"hostname": f"tool-{self._uids}.{DOMAIN}", "service": "http://tool:80"}
        if session:
            rule = {"hostname": desired(session, self.profile).hostname, "service": "http://foreign:80"}
            rule |= {"path": path} if path else {}
            config["ingress"] = [r for r in config["ingress"] if r.get("hostname") != rule["hostname"]]
        config["ingress"].insert(0, rule)
        self.world.tunnel.configure(config, "2026-01-01T00:00:00Z")
        self.monitor.tell("tool", f"writes the tunnel: {'reset, ' if reset else ''}{rule}")

    def remove_foreign_rules(self) -> None:
        """The tool takes its rules of sessions' names away again."""
        config = json.loads(json.dumps(self.world.tunnel.config))
        foreign = self.monitor.is_foreign_rule
        config["ingress"] = [
            r for r in config["ingress"] if not (foreign(r) and hash_of_hostname(str(r.get("hostname"))))
        ]
        self.monitor.note()
        self.world.tunnel.configure(config, "2026-01-01T00:00:00Z")
        self.monitor.tell("tool", "takes its rules of sessions' names away")

    def remove_foreign_records(self) -> None:
        """A person takes the foreign records of sessions' names away again."""
        for _, record in list(self.monitor.foreign_records.values()):
            if hash_of_hostname(record["name"]):
                self.remove_record(record["name"])

    def spoil_route(self, session: str, *, remove: bool) -> None:
        """A person changes or deletes one of a session's routes."""
        name = desired(session, self.profile).routes[0].name
        if name not in self.monitor.routes() or name in self.monitor.foreign_routes:
            return
        self.monitor.tell("person", f"{'deletes' if remove else 'changes'} the route {name}")
        self.monitor.note()
        if remove:
            self._kube("DELETE", f"{ROUTES}/{name}", {})
        else:
            self._kube(
                "PATCH", f"{ROUTES}/{name}", {"spec": {"entryPoints": ["other"]}}, "application/merge-patch+json"
            )

    def _intrude(self) -> None:
        """Just before a write of the tunnel has its effect."""
        if self.intruders:
            self.intruders -= 1
            self.write_tunnel()

    def calm(self) -> None:
        """No faults any more."""
        self.network.faults["kube"].clear()
        self.network.faults["cloudflare"].clear()
        self.network.down.clear()
        self.network.cut.clear()
        self.troubles.silent.clear()
        self.troubles.disturb.clear()
        self.troubles.delay = 0.0
        self.intruders = 0

    # Questions

    def conflict_of(self, session: str) -> str:
        """The reason that a session has to tell because something foreign has its name; "" for none."""
        name = desired(session, self.profile).hostname
        if any(record["id"] in self.monitor.foreign_records for record in self.world.records.at(name)):
            return "RecordConflict"
        rules = [rule for rule in self.monitor.rules() if rule.get("hostname") == name]
        return "RuleConflict" if any(self.monitor.is_foreign_rule(rule) for rule in rules) else ""

    def wanted(self, session: str) -> set[str]:
        """What `ours_left` should say of a live session."""
        wanted = desired(session, self.profile)
        names = {f"record {wanted.hostname}", f"rule {wanted.hostname}"}
        return names | {f"route {route.name}" for route in wanted.routes}

    @property
    def profile(self) -> Profile:
        """What the newest replicas want."""
        return Settings.from_env(self.environment).profile

    def live_sessions(self) -> set[str]:
        """The hashes with a live Pod."""
        return {session for session, pod in self.monitor.pods() if not pod["metadata"].get("deletionTimestamp")}

    def ours_left(self) -> dict[str, set[str]]:
        """What there is of ours, by hash: marked records, plain rules of our service, routes that are not foreign."""
        left: dict[str, set[str]] = {}
        for record in self.world.records.all():
            session = hash_of_hostname(str(record["name"]))
            if session and record["id"] not in self.monitor.foreign_records:
                left.setdefault(session, set()).add(f"record {record['name']}")
        for rule in self.monitor.rules():
            session = hash_of_hostname(str(rule.get("hostname")))
            if session and not self.monitor.is_foreign_rule(rule):
                left.setdefault(session, set()).add(f"rule {rule['hostname']}")
        for name in self.monitor.routes().keys() - self.monitor.foreign_routes.keys():
            if session := hash_of_route(name):
                left.setdefault(session, set()).add(f"route {name}")
        return left

    def _seed_foreign(self) -> None:
        for record in FOREIGN_RECORDS:
            made = self.world.records.create(dict(record), "2026-01-01T00:00:00Z").body["result"]
            self.monitor.foreign_records[made["id"]] = (-1e9, made)
        self.world.tunnel.configure(FOREIGN_TUNNEL, "2026-01-01T00:00:00Z")
        self._kube("POST", ROUTES, dict(FOREIGN_ROUTE))
        self.monitor.foreign_routes["grafana"] = (-1e9, self.monitor.routes()["grafana"])

    def _pod(self, session: str, name: str, labels: Mapping[str, str]) -> Any:
        all_labels = {MANAGED_BY_LABEL: "opencode-router", HASH_LABEL: session, **labels}
        metadata = {"name": name, "namespace": NAMESPACE, "labels": all_labels, "annotations": {"a": "b"}}
        spec = {"nodeName": "node-1", "containers": [{"name": "c", "image": "i"}]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def _kube(self, method: str, path: str, body: Any, kind: str = "application/json") -> Any:
        """What others ask of the API server, at once and always answered."""
        self.monitor.note()
        request = Request(method, path, {}, {"content-type": kind}, json.dumps(body).encode())
        answer = self.api.answer(request, self.unix())
        self.monitor.note()
        assert isinstance(answer, Response)
        return answer.body
