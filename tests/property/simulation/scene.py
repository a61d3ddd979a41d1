"""The world without its operators: both APIs, and what routers, the kubelet, people and tools do to them.

`simulation` adds the replicas. Nothing here asserts; `monitor` sees every change.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from cloudflare_ops import ownership
from cloudflare_ops.ownership import ORIGINAL_COMMENT
from controller.settings import Settings
from fsm.desired import desired
from fsm.session import HASH_LABEL, MANAGED_BY_LABEL, MANAGER, PREFIX, Profile, hash_of_hostname, hash_of_route
from sandbox.cloudflare.world import World
from sandbox.kubeclient import NAMESPACE
from sandbox.kubernetes.api import Settings as KubeSettings
from sandbox.kubernetes.api import new_api
from sandbox.kubernetes.requests import Request, Response
from sandbox.stage import DOMAIN, FOREIGN_RECORDS, FOREIGN_ROUTE, FOREIGN_TUNNEL
from tests.property.simulation.monitor import Monitor
from tests.property.simulation.names import ENVIRONMENT, FOREIGN_SERVICE, HASHES, INVALID, NEIGHBOUR, NEIGHBOURS, ROUTER

QUOTA = 200  # records, when there is room
NOW = "2026-01-01T00:00:00Z"
MERGE = "application/merge-patch+json"
_LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{MANAGER}"


class Scene:
    """`now` is virtual time, `unix` the same for the world's own clocks."""

    def __init__(
        self, random: Random, now: Callable[[], float], unix: Callable[[], float], *, watchlist: bool, neighbour: int
    ) -> None:
        self.random = random
        self.now = now
        self.unix = unix
        self.world = World(zone_name=DOMAIN, quota=QUOTA)
        self.api = new_api(
            random=random,
            now=unix(),
            history=10_000,
            settings=KubeSettings(watchlist=watchlist),
            namespaces=[NAMESPACE, "neighbours", "nowhere"],
        )
        self.monitor = Monitor(self.world, self.api, now)
        self.environment = dict(ENVIRONMENT)
        self.neighbour = ENVIRONMENT | dict(NEIGHBOURS[neighbour])
        self.cast: Sequence[str] = HASHES  # the sessions that may come
        self.former_services: set[str] = set()
        self.intruders = 0  # how many of the next writes of the tunnel are overtaken by a tool
        self._count = 0
        self._seed_foreign()

    def profile_of(self, session: str) -> Profile:
        """What the newest replicas of its instance want for a session."""
        return Settings.from_env(self.neighbour if session == NEIGHBOUR else self.environment).profile

    def is_forgotten(self, session: str, owner: str | None) -> bool:
        """Whether that owner's are nothing to the newest replicas of the session's instance any more."""
        profile = self.profile_of(session)
        return owner not in (None, profile.owner, *profile.previous_owners)

    def hostname_of(self, session: str) -> str:
        """The hostname that the session should have now."""
        return desired(session, self.profile_of(session)).hostname

    # The router and the kubelet

    def create_session(self, session: str, *, name: str = "", annotations: Mapping[str, str] | None = None) -> None:
        """A session Pod appears (on a node: it will take its time to go)."""
        self.monitor.tell("router", f"creates {session} {name} {'with old annotations' if annotations else ''}")
        pod = self._pod(session, name or f"opencode-session-{session}")
        pod["metadata"]["annotations"] |= annotations or {}
        self._kube("POST", f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods", pod)

    def create_invalid(self) -> None:
        """A Pod appears whose hash label is no hash."""
        self.monitor.tell("router", f"creates a Pod with the hash {INVALID}")
        pod = self._pod(INVALID, f"invalid-{self._count}")
        self._count += 1
        self._kube("POST", f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods", pod)

    def create_operator_pod(self, name: str) -> None:
        """The Pod in which a replica runs, so that it can be told of."""
        pod = self._pod(INVALID, name)
        pod["metadata"]["labels"] = {}
        self._kube("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", pod)

    def create_copy(self, session: str) -> None:
        """A tool makes the Pod of a session from a copy: with all annotations of the one that was there."""
        former = max(self.pods_of(session), key=lambda pod: str(pod["metadata"]["name"]), default=None)
        self.delete_session(session)
        self.end_pods(session)
        self.create_session(session, annotations=former and former["metadata"].get("annotations"))

    def delete_session(self, session: str) -> None:
        """The router deletes the Pods of a session."""
        self.monitor.tell("router", f"deletes {session}")
        for pod in self.pods_of(session):
            self._kube("DELETE", _path(pod), {})

    def turn(self, session: str) -> None:
        """The router ends a session that is there, at once, or makes one."""
        if self.pods_of(session):
            self.delete_session(session)
            self.end_pods(session)
        else:
            self.create_session(session)

    def end_pods(self, session: str) -> None:
        """The kubelet is done with the Pods of a session that are going."""
        self.monitor.tell("kubelet", f"ends {session}")
        for pod in self.pods_of(session):
            if pod["metadata"].get("deletionTimestamp"):
                self._kube("DELETE", _path(pod), {"gracePeriodSeconds": 0})

    def relabel(self, session: str, manager: str | None) -> None:
        """A person changes the label that the operator selects by: the Pods leave the selection, and live on."""
        self.monitor.tell("person", f"sets the managed-by label of {session} to {manager}")
        for pod in self.pods_of(session):
            self._kube("PATCH", _path(pod), {"metadata": {"labels": {MANAGED_BY_LABEL: manager}}}, MERGE)

    def touch(self, session: str) -> None:
        """The router notes activity."""
        for pod in self.pods_of(session):
            self.annotate(pod, {"opencode.ai/last-activity": str(self.now())})

    def annotate(self, pod: Any, annotations: Mapping[str, str | None]) -> None:
        """A merge patch of a Pod's annotations."""
        self._kube("PATCH", _path(pod), {"metadata": {"annotations": dict(annotations)}}, MERGE)

    def pods_of(self, session: str) -> list[Any]:
        """The Pods of a session."""
        return [pod for found, pod in self.monitor.pods() if found == session]

    # People

    def edit_record(self, session: str, key: str, text: str | None) -> None:
        """A person edits (or removes) one of our annotations, on every Pod of the session."""
        self.monitor.tell("person", f"sets {key} of {session} to {text!r}")
        for pod in self.pods_of(session):
            self._edit(pod, {PREFIX + key: text})

    def wipe_record(self, session: str) -> None:
        """A person removes all annotations of a session's Pods."""
        self.monitor.tell("person", f"wipes the annotations of {session}")
        for pod in self.pods_of(session):
            self._edit(pod, dict.fromkeys(pod["metadata"].get("annotations") or {}))

    def _edit(self, pod: Any, annotations: Mapping[str, str | None]) -> None:
        edited = {**(pod["metadata"].get("annotations") or {}), **annotations}
        self.monitor.hand_edited(pod["metadata"]["uid"], edited.get(PREFIX + "state") or "")
        self.annotate(pod, annotations)

    def ask_for_sweep(self) -> None:
        """A person asks the leader for a sweep without grace and brake."""
        self._count += 1
        self.monitor.tell("person", "asks for a forced sweep")
        self.monitor.is_forced = True
        note = {PREFIX + "sweep-request": json.dumps({"id": str(self._count)})}
        self._kube("PATCH", _LEASE, {"metadata": {"annotations": note}}, MERGE)

    def remove_lease(self) -> None:
        """A person deletes the Lease; only safe while nobody leads."""
        self.monitor.tell("person", "deletes the Lease")
        self._kube("DELETE", _LEASE, {})

    def remove_record(self, name: str) -> None:
        """A person deletes a DNS record."""
        self.monitor.note()
        for record in self.world.records.at(name):
            self.monitor.tell("person", f"deletes the record {name}")
            self.monitor.foreign_records.pop(record["id"], None)
            self.world.records.delete(record["id"])

    def make_foreign_record(self, session: str) -> None:
        """Somebody puts an A record at a session's hostname, in the place of ours if need be."""
        name = self.hostname_of(session)
        self.remove_record(name)
        self._make_foreign_record({"type": "A", "name": name, "content": "192.0.2.1", "ttl": 300})
        self.monitor.tell("person", f"makes a foreign record {name}")

    def make_lookalike(self, session: str) -> None:
        """Somebody's record that goes to our tunnel and whose comment speaks of us, but is no mark of ours."""
        name, profile = self.hostname_of(session), self.profile_of(session)
        self.remove_record(name)
        comment = f"was managed by {MANAGER}; owner={profile.owner}; see the wiki"
        body = {"type": "CNAME", "name": name, "content": profile.tunnel_target, "ttl": 1, "proxied": True}
        self._make_foreign_record(body | {"comment": comment})
        self.monitor.tell("person", f"makes a record {name} that only looks like ours")

    def dim_record(self, session: str) -> None:
        """A person switches the proxy of a session's record off."""
        for record in self.world.records.at(self.hostname_of(session)):
            if ownership.parse(str(record["comment"])):
                self.monitor.note()
                self.monitor.tell("person", f"switches the proxy of {record['name']} off")
                self.world.records.patch(record["id"], {"proxied": False}, NOW)

    def turn_record(self, session: str) -> None:
        """Somebody makes a session's record their own where it is: the same id, another content and comment."""
        for record in self.world.records.at(self.hostname_of(session)):
            if ownership.parse(str(record["comment"])):
                self.monitor.note()
                self.monitor.tell("person", f"turns the record {record['name']} into their own")
                self.world.records.patch(record["id"], {"content": "theirs.example.net", "comment": "theirs"}, NOW)
                self.monitor.turned_records.add(record["id"])
                self.monitor.foreign_records[record["id"]] = (self.now(), self.world.records.at(record["name"])[0])

    def remove_foreign_records(self) -> None:
        """A person takes the foreign records of sessions' names away again."""
        for _, record in list(self.monitor.foreign_records.values()):
            if hash_of_hostname(record["name"]):
                self.remove_record(record["name"])

    def fill_quota(self) -> None:
        """The zone is full."""
        self.monitor.tell("person", "fills the zone: it takes no more records")
        self.world.records.quota = len(self.world.records.all())

    def raise_quota(self) -> None:
        """There is room in the zone again."""
        self.monitor.tell("person", "makes room in the zone")
        self.world.records.quota = QUOTA

    def write_tunnel(self, *, reset: bool = False, session: str = "", path: str = "") -> None:
        """An infrastructure tool writes the document: its own edit, its whole list, or a rule of a session's name."""
        config = json.loads(json.dumps(FOREIGN_TUNNEL if reset else self.world.tunnel.config))
        self._count += 1
        rule = {"hostname": f"tool-{self._count}.{DOMAIN}", "service": "http://tool:80"}
        if session:
            rule = {"hostname": self.hostname_of(session), "service": FOREIGN_SERVICE}
            rule |= {"path": path} if path else {}
            if not path or self.random.random() < 0.5:  # a rule with a path may stand beside ours
                config["ingress"] = [r for r in config["ingress"] if r.get("hostname") != rule["hostname"]]
        config["ingress"].insert(0, rule)
        self._configure(config, f"writes the tunnel: {'reset, ' if reset else ''}{rule}")

    def rearrange_tunnel(self) -> None:
        """A tool changes what is no rule of a hostname: a wildcard before everything, the order, another field."""
        config = json.loads(json.dumps(self.world.tunnel.config))
        self._count += 1
        match what := self.random.choice(("a wildcard first", "another order", "another field")):
            case "a wildcard first":
                config["ingress"].insert(0, {"hostname": f"*.{DOMAIN}", "service": f"http://wide-{self._count}:80"})
            case "another order":
                *rules, last = config["ingress"]
                self.random.shuffle(rules)
                config["ingress"] = [*rules, last]
            case _:
                config["a-field-of-tomorrow"] = {"kept": self._count}
        self._configure(config, f"writes the tunnel: {what}")

    def _configure(self, config: Any, what: str) -> None:
        self.monitor.note()
        self.world.tunnel.configure(config, NOW)
        self.monitor.tell("tool", what)
        self.monitor.note()

    def remove_foreign_rules(self) -> None:
        """The tool takes its rules of sessions' names away again."""
        config = json.loads(json.dumps(self.world.tunnel.config))
        foreign = self.monitor.is_foreign_rule
        config["ingress"] = [
            r for r in config["ingress"] if not (foreign(r) and hash_of_hostname(str(r.get("hostname"))))
        ]
        self._configure(config, "takes its rules of sessions' names away")

    def spoil_route(self, session: str, *, remove: bool) -> None:
        """A person changes or deletes one of a session's routes."""
        path = self._route_path(session)
        name = path.rpartition("/")[2]
        if name not in self.monitor.routes() or name in self.monitor.foreign_routes:
            return
        self.monitor.tell("person", f"{'deletes' if remove else 'changes'} the route {name}")
        if remove:
            self._kube("DELETE", path, {})
        else:
            self._kube("PATCH", path, {"spec": {"entryPoints": ["other"]}}, MERGE)

    def make_foreign_route(self, session: str) -> None:
        """Somebody makes a route of a session's name, in the place of ours if need be."""
        path = self._route_path(session)
        folder, _, name = path.rpartition("/")
        self._kube("DELETE", path, {})
        body = {**json.loads(json.dumps(FOREIGN_ROUTE)), "metadata": {"name": name, "labels": {"app": "foreign"}}}
        self._kube("POST", folder, body)
        self.monitor.foreign_routes[name] = (self.now(), self.monitor.routes()[name])
        self.monitor.tell("person", f"makes a foreign route {name}")

    def remove_foreign_routes(self) -> None:
        """A person takes the foreign routes of sessions' names away again."""
        for name in [name for name in self.monitor.foreign_routes if hash_of_route(name)]:
            del self.monitor.foreign_routes[name]
            self.remove_route(name)

    def remove_route(self, name: str) -> None:
        """A person takes a route away that is not the operators'."""
        self.monitor.tell("person", f"takes the route {name} away")
        self._kube("DELETE", f"{_routes(NAMESPACE)}/{name}", {})

    # What was there before

    def make_originals(self, session: str) -> None:
        """Everything of a session as the operator before this one left it: its comment, its label, no owner."""
        self.monitor.tell("original", f"made everything of {session}")
        wanted = desired(session, self.profile_of(session))
        for record in wanted.records:
            body = {"type": "CNAME", "name": record.name, "content": record.content, "ttl": 1, "proxied": True}
            self.world.records.create({**body, "comment": ORIGINAL_COMMENT}, NOW)
        rules = [{"hostname": rule.hostname, "service": rule.service} for rule in wanted.rules]
        config: Any = self.world.tunnel.config
        self.world.tunnel.configure({**config, "ingress": [*rules, *config["ingress"]]}, NOW)
        for route in wanted.routes:
            metadata = {**route.manifest["metadata"], "labels": {MANAGED_BY_LABEL: MANAGER}}
            self._kube("POST", _routes(route.namespace), {**route.manifest, "metadata": metadata})

    def _seed_foreign(self) -> None:
        for record in FOREIGN_RECORDS:
            self._make_foreign_record(dict(record), since=-1e9)
        self.world.tunnel.configure(FOREIGN_TUNNEL, NOW)
        self._kube("POST", _routes(NAMESPACE), dict(FOREIGN_ROUTE))
        self.monitor.foreign_routes["grafana"] = (-1e9, self.monitor.routes()["grafana"])

    def _make_foreign_record(self, body: Any, since: float | None = None) -> None:
        # People's own come first, also in a full zone.
        self.world.records.quota = max(self.world.records.quota, len(self.world.records.all()) + 1)
        made = self.world.records.create(body, NOW).body["result"]
        self.monitor.foreign_records[made["id"]] = (self.now() if since is None else since, made)

    def _route_path(self, session: str) -> str:
        route = self.random.choice(desired(session, self.profile_of(session)).routes)
        return f"{_routes(route.namespace)}/{route.name}"

    def _pod(self, session: str, name: str) -> Any:
        is_ours = session != NEIGHBOUR
        namespace = NAMESPACE if is_ours else self.neighbour.get("WATCH_NAMESPACE", NAMESPACE)
        manager = "neighbour" if not is_ours and namespace == NAMESPACE else ROUTER
        labels = {MANAGED_BY_LABEL: manager, HASH_LABEL: session}
        metadata = {"name": name, "namespace": namespace, "labels": labels, "annotations": {"a": "b"}}
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


def _path(pod: Any) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _routes(namespace: str) -> str:
    return f"/apis/traefik.io/v1alpha1/namespaces/{namespace}/ingressroutes"
