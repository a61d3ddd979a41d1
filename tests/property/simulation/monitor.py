"""Sees every effect in the world at the moment it happens, and knows what must never be: the invariants.

Violations are collected (an exception would only be one more fault for the product to survive) and looked at after
every step. `story` is what happened, for people.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cloudflare_ops import ownership
from cloudflare_ops.ingress import catches, plain
from cloudflare_ops.transport import Reply
from fsm.desired import desired
from fsm.session import HASH_LABEL, PREFIX, Profile, hash_of_hostname, hash_of_route
from fsm.states import State
from fsm.table import TRANSITIONS
from sandbox.cloudflare.envelope import Request as CloudflareRequest
from sandbox.cloudflare.world import World
from sandbox.kubeclient import NAMESPACE
from sandbox.kubernetes.api import Api
from sandbox.kubernetes.requests import Request as KubeRequest

# Evidence may be 2 s old when a write begins, the write takes its time limit, the answer its way.
WINDOW = 14.0  # seconds
DOCUMENT_AGE = 2.0 + 0.5  # seconds from the end of a read to the write: the product's limit and one way
BUDGET, BUDGET_WINDOW = 1000, 300.0
PATCHES_A_MINUTE = 40  # of one Pod's record: an endless loop makes hundreds

_REACHABLE: dict[str, set[str]] = {state.value: {state.value} for state in State}
for _ in State:
    for row in TRANSITIONS:
        for source in row.sources:
            _REACHABLE[source.value] |= _REACHABLE[row.dest.value]


@dataclass(frozen=True)
class Read:
    """A tunnel document as a replica got it."""

    at: float
    foreign: str
    version: int


class Monitor:
    """`now` is virtual time; `profiles` is what any running replica was started with."""

    def __init__(self, world: World, api: Api, now: Callable[[], float]) -> None:
        self._world = world
        self._api = api
        self._now = now
        self.profiles: list[Profile] = []
        self.violations: list[str] = []
        self.story: list[str] = []
        self.counts: Counter[str] = Counter()
        self.foreign_records: dict[str, tuple[float, Any]] = {}
        self.foreign_routes: dict[str, tuple[float, Any]] = {}
        self.resumed: dict[int, float] = {}
        self.lost_edits = 0
        self.jumps: Counter[int] = Counter()  # by replica: replies from which it could tell that an edit was lost
        self.writes = 0
        self._reads: defaultdict[int, deque[Read]] = defaultdict(lambda: deque(maxlen=50))
        self._calls: defaultdict[int, deque[float]] = defaultdict(deque)
        self._there: dict[tuple[str, str], float] = {}
        self._live_since: dict[str, float] = {}
        self._revisions: dict[str, tuple[int, str]] = {}
        self._patched: defaultdict[str, deque[float]] = defaultdict(deque)

    def tell(self, who: str, what: str) -> None:
        """One line of the story."""
        self.story.append(f"{self._now() - 1000:9.2f} s  {who:10} {what}")

    def note(self) -> None:
        """Remember what is there now: called around every change in the world."""
        now = self._now()
        for record in self._world.records.all():
            self._there["dns", str(record["name"])] = now
        for rule in self.rules():
            self._there["rule", str(rule.get("hostname"))] = now
        for name in self.routes():
            self._there["route", name] = now
        live = {session for session, pod in self.pods() if not pod["metadata"].get("deletionTimestamp")}
        self._live_since = {session: self._live_since.get(session, now) for session in live}

    def hand_edited(self, uid: str) -> None:
        """A person changed the record of this Pod: revisions start anew."""
        self._revisions.pop(uid, None)

    def rules(self) -> list[dict[str, Any]]:
        """The tunnel's rules."""
        return list((self._world.tunnel.config or {}).get("ingress") or ())

    def routes(self) -> dict[str, Any]:
        """IngressRoutes by name."""
        shelf = self._api.store.shelf
        return {key[1]: item for key, item in shelf.snapshot("ingressroutes.traefik.io", shelf.version)}

    def pods(self) -> list[tuple[str, Any]]:
        """Session hash and Pod, for every session Pod."""
        shelf = self._api.store.shelf
        found = [item for _, item in shelf.snapshot("pods", shelf.version)]
        return [
            (pod["metadata"]["labels"][HASH_LABEL], pod)
            for pod in found
            if HASH_LABEL in pod["metadata"].get("labels", {})
        ]

    def _holder(self) -> int:
        """The number of the replica that holds the lease; -1 for none."""
        lease = self._api.store.shelf.find("leases.coordination.k8s.io", (NAMESPACE, "opencode-cloudflare-operator"))
        holder = str(lease["spec"].get("holderIdentity") or "") if lease else ""
        return int(holder.partition("_")[0].removeprefix("operator-") or -1)

    def is_foreign_rule(self, rule: Any) -> bool:
        """Whether the rule is certainly not one that any of the replicas would write."""
        own = plain(rule)
        services = {profile.service for profile in self.profiles}
        return own is None or not hash_of_hostname(own.hostname) or own.service not in services

    def foreign_part(self, config: Any) -> str:
        """Everything in a document that is not ours, in its order."""
        rules = [rule for rule in (config or {}).get("ingress") or () if self.is_foreign_rule(rule)]
        return repr({**(config or {}), "ingress": rules})

    # Cloudflare

    def cloudflare_asked(self, replica: int, request: CloudflareRequest) -> None:
        """A replica is about to send this."""
        calls, now = self._calls[replica], self._now()
        calls.append(now)
        while calls[0] <= now - BUDGET_WINDOW:
            calls.popleft()
        self._must(len(calls) <= BUDGET, f"replica {replica} sent {len(calls)} requests in five minutes")
        is_fair = now - self.resumed.get(replica, -1e9) > WINDOW
        if request.method != "GET" and is_fair:
            self._must(self._holder() == replica, f"replica {replica} writes, but the lease is {self._holder()}'s")
        if request.method == "PUT" and is_fair:
            read = {read.foreign for read in self._reads[replica] if read.at >= now - DOCUMENT_AGE}
            sent = self.foreign_part(request.body["config"])
            self._must(sent in read, f"replica {replica} PUTs a document that is no recent read plus its own edit")

    def cloudflare_answered(self, replica: int, request: CloudflareRequest, reply: Reply) -> None:
        """A replica got this."""
        if request.path.endswith("/configurations") and reply.status == 200:
            result: Any = reply.body
            config, version = result["result"]["config"], result["result"]["version"]
            if request.method == "PUT" and version > self._reads[replica][-1].version + 1:
                self.jumps[replica] += 1
            self._reads[replica].append(Read(self._now(), self.foreign_part(config), version))

    @contextmanager
    def cloudflare_effect(self, replica: int, request: CloudflareRequest) -> Iterator[None]:
        """Around the moment in which the request has its effect."""
        self.note()
        records = {record["id"]: dict(record) for record in self._world.records.all()}
        foreign, version = self.foreign_part(self._world.tunnel.config), self._world.tunnel.version
        yield
        if request.method == "GET":
            return
        self.writes += 1
        self.tell(f"replica {replica}", _short(request))
        self._check_records(replica, request, records)
        if self._world.tunnel.version != version:
            self._check_document(replica, request, foreign)
        self.note()

    def _check_records(self, replica: int, request: CloudflareRequest, before: dict[str, Any]) -> None:
        after = {record["id"]: record for record in self._world.records.all()}
        for key, record in before.items():
            if after.get(key) != record:
                self._check_touched(replica, record, is_removed=key not in after)
        for key in after.keys() - before.keys():
            is_marked = ownership.parse(str(after[key]["comment"])) in {profile.owner for profile in self.profiles}
            self._must(is_marked, f"replica {replica} made {after[key]['name']} without the mark")

    def _check_touched(self, replica: int, record: Any, *, is_removed: bool) -> None:
        name, what = record["name"], "removed" if is_removed else "changed"
        since, _ = self.foreign_records.get(record["id"], (1e18, None))
        is_old = self._now() - since > WINDOW and self._now() - self.resumed.get(replica, -1e9) > WINDOW
        self._must(not (since < 1e18 and is_old), f"replica {replica} {what} the foreign record {name}")
        session = hash_of_hostname(name)
        if is_removed and session:
            self._check_dead(replica, session, f"the record {name}", name)

    def _check_document(self, replica: int, request: CloudflareRequest, foreign: str) -> None:
        after = self.rules()
        for place, rule in enumerate(after):
            if not self.is_foreign_rule(rule):
                shadows = [wide for wide in after[:place] if "*" in str(wide.get("hostname") or "*")]
                hidden = any(catches(wide.get("hostname"), rule["hostname"]) for wide in shadows)
                self._must(not hidden, f"replica {replica} put {rule['hostname']} behind a wildcard")
        if self.foreign_part(self._world.tunnel.config) != foreign:
            # Cloudflare has no precondition: an edit between read and write is lost, and has to be reported.
            self.lost_edits += 1
            self.tell("world", "a foreign edit between read and write was overwritten")

    # Kubernetes

    @contextmanager
    def kube_effect(self, replica: int, request: KubeRequest) -> Iterator[None]:
        """Around the moment in which the request has its effect."""
        if request.method == "GET" or "/leases" in request.path or "/events" in request.path:
            yield
            return
        self.note()
        pods = {pod["metadata"]["uid"]: pod for _, pod in self.pods()}
        routes = self.routes()
        yield
        changed = [(s, pod) for s, pod in self.pods() if pods.get(pod["metadata"]["uid"]) not in (None, pod)]
        for session, pod in changed:
            self._check_record(replica, session, pod)
        self._check_routes(replica, routes)
        self.note()

    def _check_record(self, replica: int, session: str, pod: Any) -> None:
        uid, annotations = pod["metadata"]["uid"], pod["metadata"].get("annotations") or {}
        state, revision = annotations.get(PREFIX + "state"), annotations.get(PREFIX + "revision")
        if state not in _REACHABLE or revision is None:
            return
        self.writes += 1
        self.counts[f"state {state}"] += 1
        error = annotations.get(PREFIX + "last-error", "")
        self.tell(f"replica {replica}", f"{session} {state} (revision {revision}) {error[:90]}")
        before = self._revisions.get(uid)
        if before:
            self._must(int(revision) == before[0] + 1, f"{session}: revision {before[0]} was followed by {revision}")
            self._must(state in _REACHABLE[before[1]], f"{session}: {before[1]} was followed by {state}")
        self._revisions[uid] = (int(revision), state)
        patched = self._patched[uid]
        patched.append(self._now())
        while patched[0] < self._now() - 60:
            patched.popleft()
        self._must(len(patched) <= PATCHES_A_MINUTE, f"{session}: {len(patched)} writes of the record in a minute")
        if state == "Ready" and not (before and before[1] == "Ready"):
            self._check_ready(session, pod)

    def _check_ready(self, session: str, pod: Any) -> None:
        hostname = pod["metadata"]["annotations"][PREFIX + "hostname"]
        created = self._live_since.get(session, self._now())
        wanted = [desired(session, p) for p in self.profiles if desired(session, p).hostname == hostname]
        names = [("dns", hostname), ("rule", hostname), *(("route", r.name) for w in wanted for r in w.routes)]
        missing = [name for name in names if self._there.get(name, -1e9) < created]
        self._must(not missing, f"{session} is Ready, but since its Pod there never were {missing}")

    def _check_routes(self, replica: int, before: dict[str, Any]) -> None:
        after = self.routes()
        for name, (since, route) in self.foreign_routes.items():
            is_old = self._now() - since > WINDOW
            touched = name in before and before[name] == route and after.get(name) != route
            self._must(not (touched and is_old), f"replica {replica} touched the foreign route {name}")
        for name in before.keys() - after.keys():
            if session := hash_of_route(name):
                self.writes += 1
                self.tell(f"replica {replica}", f"route {name} removed")
                self._check_dead(replica, session, f"the route {name}", name)

    def _check_dead(self, replica: int, session: str, what: str, name: str) -> None:
        """No removal for a hash that had a live Pod when it was composed, unless nobody wants that name any more."""
        wanted = {n for p in self.profiles for n in _names(session, p)}
        since = self._live_since.get(session)
        is_old = since is not None and self._now() - since > WINDOW
        is_fair = self._now() - self.resumed.get(replica, -1e9) > WINDOW
        self._must(not (is_old and is_fair and name in wanted), f"replica {replica} removed {what} of a live session")

    def _must(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.violations.append(f"{self._now() - 1000:.2f} s: {otherwise}")
            self.tell("VIOLATION", otherwise)


def _names(session: str, profile: Profile) -> set[str]:
    wanted = desired(session, profile)
    return {wanted.hostname, *(route.name for route in wanted.routes)}


def _short(request: CloudflareRequest) -> str:
    if request.method == "PUT":
        hosts = [str(rule.get("hostname", "*"))[:16] for rule in request.body["config"].get("ingress") or ()]
        return f"PUT tunnel {hosts}"
    kinds = {kind: [str(e.get("name", e.get("id")))[:16] for e in entries] for kind, entries in request.body.items()}
    return f"{request.method} batch {kinds}"
