"""Sees every write of Pods' records and of routes when it has its effect, and knows what must never be.

Part of `monitor`; called by `kube.SimulatedKube`.
"""

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from fsm.session import HASH_LABEL, MANAGED_BY_LABEL, MANAGER, OWNER_LABEL, PREFIX, hash_of_route
from sandbox.kubernetes.requests import Request
from tests.property.simulation.eyes import LONG_AGO, Eyes, recent, wanted_of

PROOF = 5.0 + 0.01  # seconds from the question whether a session lives to the send of the removal
_WHO = re.compile(rf"{re.escape(HASH_LABEL)} in \((.*)\)")  # who is asked for by hash: the proof of a removal
_NAMED = re.compile(r"/opencode-session-([0-9a-f]{12})")
PATCHES_A_MINUTE = 40  # of one Pod's record: an endless loop makes hundreds
EVENTS_A_MINUTE = 100  # of one replica, about all sessions
LATEST = 90.0  # seconds between a loss and the word of it: a look, a stale answer, a slow write
LOOKED_UP = (
    700.0  # seconds from a lost reply to the end of the tries to look it up: the budget may hold each for minutes
)
_LOST = {"DnsRecordLost": "dns", "TunnelRuleLost": "rule"}

# How many of record, rule and routes a state says are there; the last state says that all were seen at once.
_PROMISED = {"TearingDown": 0, "Pending": 0, "DnsCreated": 1, "TunnelRuleAdded": 2, "RoutesCreated": 3, "Ready": 4}
# The moves there are, in these words and not in those of `fsm.table`: trigger, from where, to where.
_MOVES = {
    "record_exists": ("Pending", "DnsCreated"),
    "rule_exists": ("DnsCreated", "TunnelRuleAdded"),
    "routes_exist": ("TunnelRuleAdded", "RoutesCreated"),
    "verified": ("RoutesCreated", "Ready"),
    "record_lost": ("DnsCreated TunnelRuleAdded RoutesCreated Ready", "Pending"),
    "rule_lost": ("TunnelRuleAdded RoutesCreated Ready", "DnsCreated"),
    "routes_lost": ("RoutesCreated Ready", "TunnelRuleAdded"),
    "renamed": ("DnsCreated TunnelRuleAdded RoutesCreated Ready", "Pending"),
    "deleted": ("Pending DnsCreated TunnelRuleAdded RoutesCreated Ready", "TearingDown"),
    "revived": ("TearingDown", "Pending"),
}


class KubeMonitor(Eyes):
    """The half that looks at Kubernetes."""

    lost: defaultdict[int, list[float]]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._records: dict[str, dict[str, str]] = {}  # by uid, since a hand was last at it
        self._vouched: dict[str, int] = {}  # by uid: so many parts are there because a hand wrote so
        self._told: dict[str, str] = {}  # by uid, and by session: a Pod may inherit its record from another one
        # By replica and uid: where it moved the record to. Several moves may be written at once.
        self._moved: defaultdict[tuple[int, str], set[str]] = defaultdict(set)
        self._patched: defaultdict[str, deque[float]] = defaultdict(deque)
        self._asked_of: defaultdict[tuple[int, str, frozenset[str]], deque[float]] = defaultdict(deque)

    def hand_edited(self, uid: str, state: str) -> None:
        """A person changed the record of this Pod, which says this state now: revisions start anew."""
        self._records.pop(uid, None)
        self._vouched[uid] = _PROMISED.get(state, 0)

    def moved(self, replica: int, uid: str, trigger: str, former: str, state: str) -> None:
        """A replica moves the record of a Pod, which it has not written yet."""
        sources, to = _MOVES[trigger]
        self.must(former in sources.split() and state == to, f"{trigger} led from {former} to {state}")
        self._moved[replica, uid].add(state)

    def kube_asked(self, replica: int, request: Request) -> float:
        """A replica is about to send this; the time."""
        if request.method != "GET" and "/leases" not in request.path:
            self.writes[f"{request.method} {request.path}"] += 1
            self._check_rate(replica, request)
            self._note_write(replica, request)
        elif request.path.endswith("/pods") and "continue" not in request.query:
            who = _WHO.fullmatch(request.query.get("labelSelector", ""))
            self.asked |= {(replica, session): self.now() for session in (who[1].split(",") if who else ())}
        return self.now()

    def _check_rate(self, replica: int, request: Request) -> None:
        """What is refused counts, too: an endless loop asks hundreds of times. A Pod made again is owed its journey."""
        named = _NAMED.search(request.path)
        pods = frozenset(self.uids[named[1]] if named else ())
        asked = recent(self._asked_of[replica, request.path, pods], self.now(), 60.0)
        limit = EVENTS_A_MINUTE if request.path.endswith("/events") else PATCHES_A_MINUTE
        self.must(asked <= limit, f"replica {replica} sent {asked} {request.method} {request.path}")

    def _note_write(self, replica: int, request: Request) -> None:
        if "/ingressroutes/" in request.path:
            name = request.path.rpartition("/")[2]
            self.wrote[replica, "route", name] = self.now()
            if request.method == "DELETE":
                self.check_asked(replica, hash_of_route(name) or "", name, PROOF)
        if "/pods" in request.path or "/ingressroutes" in request.path:
            # A Pod's patch has its own tests, which a later writer's fail.
            needs = 0.0 if "/pods" in request.path else self.settings[replica].call_limit
            self.check_lease(replica, f"{request.method} {request.path}", needs)

    def kube_answered(self, replica: int, request: Request, body: Any, asked: float) -> None:
        """A replica got this."""
        if "/ingressroutes" in request.path:
            self._show_routes(replica, body.get("items") or [body], asked)
        elif request.path.endswith("/pods") and not request.query.get("labelSelector", "").startswith(HASH_LABEL):
            self._see_go(replica, filter(_is_going, body.get("items") or []))

    def kube_told(self, replica: int, path: str, event: Any, since: float) -> None:
        """A replica's watch says this, of which it is known to be so at `since`, or else when it became so."""
        if path.endswith("/pods"):
            gone = [event["object"]] if event["type"] == "DELETED" or _is_going(event["object"]) else []
            self._see_go(replica, gone)
        if "/ingressroutes" in path and event["type"] in ("ADDED", "MODIFIED"):
            metadata = event["object"]["metadata"]
            written = self.route_written.get((metadata["name"], metadata["resourceVersion"]), LONG_AGO)
            self._show_routes(replica, [event["object"]], max(written, since))

    def _see_go(self, replica: int, pods: Iterable[Any]) -> None:
        self.saw_go |= {(replica, str(pod["metadata"]["uid"])) for pod in pods}

    def _show_routes(self, replica: int, routes: list[Any], asked: float) -> None:
        """Those that are as the replica wants them."""
        found = [route for route in routes if "metadata" in route and self._is_right(replica, route)]
        self.show(replica, "route", asked, [route["metadata"]["name"] for route in found])

    def _is_right(self, replica: int, route: Any) -> bool:
        metadata, settings = route["metadata"], self.settings[replica]
        session = hash_of_route(metadata.get("name", ""))
        wanted = wanted_of(session, settings.profile).routes if session else ()
        is_ours = (metadata.get("labels") or {}).get(OWNER_LABEL) == settings.owner_id
        return is_ours and any(w.name == metadata["name"] and w.manifest["spec"] == route["spec"] for w in wanted)

    @contextmanager
    def kube_effect(self, replica: int, request: Request) -> Iterator[None]:
        """Around the moment in which the request has its effect."""
        if request.method == "GET" or "/events" in request.path:
            yield
            return
        if "/leases" in request.path:
            before = self.lease(replica)
            yield
            if self.lease(replica) != before and self.holder(replica) == replica:
                self.renewed[replica] = self.now()
                if not before or before["spec"].get("holderIdentity") != self.lease(replica)["spec"]["holderIdentity"]:
                    self.led[replica].append(self.now())
            return
        self.note()
        pods = {pod["metadata"]["uid"]: pod for _, pod in self.pods()}
        routes = self.routes()
        yield
        now = {pod["metadata"]["uid"]: (session, pod) for session, pod in self.pods()}
        self.must(now.keys() == pods.keys(), f"replica {replica} made or removed a Pod")
        for uid, (session, pod) in now.items():
            if pods.get(uid) not in (None, pod):
                self.must(_of_others(pods[uid]) == _of_others(pod), f"{session}: more than the record was changed")
                self._check_record(replica, session, pod)
        self._check_routes(replica, routes)
        self.note()

    def _check_record(self, replica: int, session: str, pod: Any) -> None:
        uid, annotations = pod["metadata"]["uid"], pod["metadata"].get("annotations") or {}
        state, revision = annotations.get(PREFIX + "state"), annotations.get(PREFIX + "revision")
        if state not in _PROMISED or revision is None:
            return
        self.counts[state] += 1
        error = annotations.get(PREFIX + "last-error", "")
        self.tell(f"replica {replica}", f"{session} {state} (revision {revision}) {error[:90]}")
        before, self._records[uid] = self._records.get(uid), annotations
        former = before[PREFIX + "state"] if before else ""
        # A Pod may be going when it is seen for the first time.
        is_moved = state in ((former,) if former else ("Pending", "TearingDown")) or state in self._moved[replica, uid]
        self.must(is_moved or uid in self._vouched, f"{session}: {former or 'a new record'} was followed by {state}")
        if before:
            old = int(before[PREFIX + "revision"])
            self.must(int(revision) == old + 1, f"{session}: revision {old} was followed by {revision}")
            self._check_attempts(replica, session, before, annotations)
        self.must(annotations.get(PREFIX + "pod-uid") == uid, f"{session}: the record names another Pod")
        self._check_pace(session, uid)
        self._check_alarm(replica, session, pod)
        # What a person has written is repeated until a look refutes it; only Ready needs looks at all of it.
        vouched = self._vouched[uid] = min(self._vouched.get(uid, 0), _PROMISED[state])
        if _PROMISED[state] > max(vouched, _PROMISED.get(former, 0)):
            self._check_promised(replica, session, pod, 0 if state == "Ready" else vouched)

    def _check_attempts(self, replica: int, session: str, before: Any, after: Any) -> None:
        """The count falls when something else begins, or after a calm time: who forgets it tries without a pause."""
        wanted = wanted_of(session, self.settings[replica].profile).hostname
        is_over = "TearingDown" in (before[PREFIX + "state"], after[PREFIX + "state"])
        is_new = is_over or before[PREFIX + "hostname"] != wanted or before[PREFIX + "state"] == "Ready"
        old, new = before[PREFIX + "attempts"], after[PREFIX + "attempts"]
        self.must(is_new or int(new) >= int(old), f"{session}: {old} attempts were followed by {new}")

    def _check_pace(self, session: str, uid: str) -> None:
        patched = recent(self._patched[uid], self.now(), 60.0)
        self.must(patched <= PATCHES_A_MINUTE, f"{session}: {patched} writes of the record in a minute")

    def _check_alarm(self, replica: int, session: str, pod: Any) -> None:
        """What is told to be lost was away, or another one, not long ago; one lost reply alone is looked up."""
        uid, annotations = pod["metadata"]["uid"], pod["metadata"]["annotations"]
        # The first record of a Pod may be inherited; what it says later is its own.
        before, error = self._told.get(uid, self._told.get(session)), annotations.get(PREFIX + "last-error", "")
        is_new = error != before
        self._told[uid] = self._told[session] = error
        part = _LOST.get(error.partition(":")[0], "")
        since, _ = self.since.get((part, annotations.get(PREFIX + "hostname", "")), (self.now(), ""))
        # Where the settings have changed, what is there may be as it was and yet not as wanted.
        is_false = is_new and since < self.now() - LATEST and len(self.profiles) == 1
        self.must(not is_false, f"{session}: {error}, but it was there all the time")
        lost = [at for at in self.lost[replica] if at > self.now() - LOOKED_UP]
        is_hasty = is_new and error.startswith("CloudflareUnreachable") and len(lost) < 2
        self.must(not is_hasty, f"{session}: {error}, but only one reply was lost")

    def _check_promised(self, replica: int, session: str, pod: Any, vouched: int) -> None:
        """What a state says was there since the Pod was; who says Ready has seen it since then itself."""
        annotations = pod["metadata"]["annotations"]
        state, hostname = annotations[PREFIX + "state"], annotations[PREFIX + "hostname"]
        wanted = wanted_of(session, self.settings[replica].profile)
        self.must(wanted.hostname == hostname, f"{session} is {state} with the hostname {hostname}")
        born, promised = self.born[pod["metadata"]["uid"]], _PROMISED[state]
        parts = [[("dns", hostname)], [("rule", hostname)], [("route", route.name) for route in wanted.routes]]
        there = [name for part in parts[vouched:promised] for name in part]
        missing = [name for name in there if self.there.get(name, LONG_AGO) < born]
        self.must(not missing, f"{session} is {state}, but since its Pod there never were {missing}")
        proves = {name: max(born, self.wrote.get((replica, *name), LONG_AGO)) for name in there}
        unseen = [name for name in there if self.shown.get((replica, *name), LONG_AGO) < proves[name]]
        self.must(
            state != "Ready" or not unseen,
            f"{session} is {state}, but since its Pod and its own last write replica {replica} never saw {unseen}",
        )

    def _check_routes(self, replica: int, before: dict[str, Any]) -> None:
        after = self.routes()
        for name, route in before.items():
            if after.get(name) != route:
                self._check_route_touched(replica, route, is_removed=name not in after)
        for name in after.keys() - before.keys():
            owner = after[name]["metadata"]["labels"].get(OWNER_LABEL)
            is_ours = owner == self.settings[replica].owner_id
            self.must(is_ours, f"replica {replica} made the route {name} without the mark")

    def _check_route_touched(self, replica: int, route: Any, *, is_removed: bool) -> None:
        name, labels = route["metadata"]["name"], route["metadata"].get("labels") or {}
        what, owner = "removed" if is_removed else "changed", labels.get(OWNER_LABEL)
        is_adopted = owner is None and labels.get(MANAGED_BY_LABEL) == MANAGER and not is_removed
        is_ours = owner in self.owners(replica) or is_adopted
        self.must(is_ours, f"replica {replica} {what} the foreign route {name}")
        if is_removed and (session := hash_of_route(name)):
            self.tell(f"replica {replica}", f"route {name} removed")
            self.check_dead(replica, session, f"the route {name}", name)


def _of_others(pod: Any) -> Any:
    """What is in a Pod beside our annotations, and what the API server keeps of each write."""
    metadata = {key: pod["metadata"].get(key) for key in ("name", "labels", "finalizers", "ownerReferences")}
    annotations = pod["metadata"].get("annotations") or {}
    foreign = {key: text for key, text in annotations.items() if not key.startswith(PREFIX)}
    return metadata, foreign, pod.get("spec"), pod.get("status")


def _is_going(pod: Any) -> bool:
    return "deletionTimestamp" in (pod.get("metadata") or {})
