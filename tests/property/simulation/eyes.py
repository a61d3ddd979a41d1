"""What is there now, what was there when, and the story so far: the ground that both halves of the monitor stand on.

Violations are collected (an exception would only be one more fault for the product to survive) and looked at after
every step. `story` is what happened, for people.
"""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from cloudflare_ops.ingress import plain
from cloudflare_ops.ownership import parse
from controller.settings import Settings
from fsm.desired import desired
from fsm.session import HASH_LABEL, PREFIX, Profile, hash_of_hostname
from sandbox.cloudflare.tunnels import Tunnel
from sandbox.cloudflare.world import World
from sandbox.kubernetes.api import Api
from tests.property.simulation.loop import SENT, ReplicaTask
from tests.property.simulation.names import INVALID, NEIGHBOUR, NEIGHBOUR_SERVICE

# Evidence may be 2 s old when a write begins, and was some tenths old when it came; from there to the send.
WINDOW = 4.0  # seconds
GRACE = 120.0  # seconds that an orphan of which nobody knows is left alone
LONG_AGO = -1e9


@dataclass
class Pause:
    """When a replica was stopped, the number of the task that would have been made next, and when it went on."""

    began: float
    next_task: int
    resumed: float = LONG_AGO


class Eyes:
    """`now` is virtual time; `settings` is what each replica was started with, by number."""

    def __init__(self, world: World, api: Api, now: Callable[[], float]) -> None:
        self.world = world
        self.api = api
        self.now = now
        self.settings: dict[int, Settings] = {}
        self.violations: list[str] = []
        self.story: list[str] = []
        self.counts: Counter[str] = Counter()
        self.foreign_records: dict[str, tuple[float, Any]] = {}
        self.turned_records: set[str] = set()  # ids of those that were ours once, and whose id we may still hold
        self.foreign_routes: dict[str, tuple[float, Any]] = {}
        self.paused: dict[int, Pause] = {}  # by replica: the last one
        self.renewed: dict[int, float] = {}  # by replica: when it got the Lease or renewed it, as the API server saw it
        self.begun: dict[int, float] = {}
        self.led: defaultdict[int, list[float]] = defaultdict(list)  # by replica: when its terms began
        self.asked: dict[tuple[int, str], float] = {}  # (replica, session) -> when it last asked whether that lives
        self.route_written: dict[tuple[str, str], float] = {}  # (name, version) -> when it became so
        self.is_forced = False  # whether a person ever asked for a sweep without grace
        self.writes: Counter[str] = Counter()  # requests that could change anything but a Lease, by what they are
        self.there: dict[tuple[str, str], float] = {}
        self.live_since: dict[str, float] = {}
        self.born: dict[str, float] = {}
        self.had_pod: dict[str, float] = {}
        self.uids: defaultdict[str, set[str]] = defaultdict(set)  # by session: its newest Pods
        self.saw_go: set[tuple[int, str]] = set()  # (replica, uid of a Pod that it was told to go or to be gone)
        # By session: whose records stood at its names while it had a Pod. The last list tells also what is gone since.
        self.beside: defaultdict[str, set[str | None]] = defaultdict(set)
        self.services: defaultdict[str, set[str]] = defaultdict(set)  # what the records of its newest Pods name
        # (replica, part, name) -> when the newest request was sent that showed it there, and the newest write of it
        self.shown: dict[tuple[int, str, str], float] = {}
        self.wrote: dict[tuple[int, str, str], float] = {}
        # Since when it has been as it is, whole and without a break.
        self.since: dict[tuple[str, str], tuple[float, str]] = {}

    def started(self, replica: int, settings: Settings) -> None:
        """A replica runs with these settings."""
        self.settings[replica] = settings
        self.begun[replica] = self.now()

    @property
    def profiles(self) -> list[Profile]:
        """What any replica was started with."""
        return list(dict.fromkeys(settings.profile for settings in self.settings.values()))

    def tell(self, who: str, what: str) -> None:
        """One line of the story."""
        self.story.append(f"{self.now() - 1000:9.2f} s  {who:10} {what}")

    def show(self, replica: int, part: str, asked: float, names: list[Any]) -> None:
        """A replica saw that these are there, by a request of this time; an older one may be answered later."""
        for name in names:
            key = (replica, part, str(name))
            self.shown[key] = max(asked, self.shown.get(key, LONG_AGO))

    def note(self) -> None:
        """Remember what is there now: called around every change in the world."""
        now = self.now()
        there = {("dns", str(record["name"])): repr(record) for record in self.world.records.all()}
        there |= {("rule", str(rule.get("hostname"))): repr(rule) for rule in self.all_rules()}
        routes = self.routes()
        there |= {("route", name): "" for name in routes}
        for name, route in routes.items():
            self.route_written.setdefault((name, route["metadata"]["resourceVersion"]), now)
        for key, text in there.items():
            self.there[key] = now
            if self.since.get(key, (now, ""))[1] != text:
                self.since[key] = (now, text)
        # What somebody has marred is lost until it is mended, however long nobody was there to see it.
        marred = {("dns", str(record["name"])) for record in self.world.records.all() if not record["proxied"]}
        marred |= {("rule", host) for tunnel in self.world.tunnels.values() for host in self.hidden(rules_of(tunnel))}
        self.since = {key: since for key, since in self.since.items() if key in there.keys() - marred}
        pods = self.pods()
        for session, pod in pods:
            self.born.setdefault(pod["metadata"]["uid"], now)
            self.had_pod[session] = now
        owners: defaultdict[str | None, set[str | None]] = defaultdict(set)
        for record in self.world.records.all():
            owners[hash_of_hostname(str(record["name"]))].add(parse(str(record["comment"])))
        for session, found in groupby(sorted(pods, key=itemgetter(0)), key=itemgetter(0)):
            here = [pod["metadata"] for _, pod in found]
            services = (_own_annotations(metadata).get(PREFIX + "service") for metadata in here)
            self.services[session] = set(filter(None, services))
            self.uids[session] = {metadata["uid"] for metadata in here}
            self.beside[session] |= owners[session]
        live = {session for session, pod in pods if not pod["metadata"].get("deletionTimestamp")}
        self.live_since = {session: self.live_since.get(session, now) for session in live}

    def rules(self) -> list[dict[str, Any]]:
        """The rules of the tunnel that is used now."""
        return rules_of(self.world.tunnel)

    def all_rules(self) -> list[dict[str, Any]]:
        """The rules of a former tunnel (who still has it writes there) and of the one that is used now."""
        return [rule for tunnel in self.world.tunnels.values() for rule in rules_of(tunnel)]

    def routes(self) -> dict[str, Any]:
        """IngressRoutes by name."""
        shelf = self.api.store.shelf
        return {key[1]: item for key, item in shelf.snapshot("ingressroutes.traefik.io", shelf.version)}

    def pods(self) -> list[tuple[str, Any]]:
        """Session hash and Pod, for every session Pod."""
        shelf = self.api.store.shelf
        found = [item for _, item in shelf.snapshot("pods", shelf.version)]
        return [
            (pod["metadata"]["labels"][HASH_LABEL], pod)
            for pod in found
            if (pod["metadata"].get("labels") or {}).get(HASH_LABEL, INVALID) != INVALID
        ]

    def lease(self, replica: int) -> Any:
        """The Lease of this replica's instance; None while there is none."""
        settings = self.settings[replica]
        return self.api.store.shelf.find("leases.coordination.k8s.io", (settings.watch_namespace, settings.lease_name))

    def holder(self, replica: int) -> int:
        """The number of the replica that holds the Lease of this replica's instance; -1 for none."""
        lease = self.lease(replica)
        holder = str(lease["spec"].get("holderIdentity") or "") if lease else ""
        return int(holder.partition("_")[0].removeprefix("operator-") or -1)

    def check_lease(self, replica: int, what: str, needs: float) -> None:
        """What is sent has its effect while the Lease lasts."""
        left = self.renewed.get(replica, LONG_AGO) + self.settings[replica].lease_duration - self.now()
        self.must(left >= needs, f"replica {replica} sends {what} with {left:.1f} s of {needs} on the lease")

    def is_on_its_way(self, replica: int) -> bool:
        """Whether the current task, made for one request whose checks had passed, was held up by a pause."""
        task = asyncio.current_task()
        return isinstance(task, ReplicaTask) and task.number < self.pause_of(replica).next_task

    def pause_of(self, replica: int) -> Pause:
        """Its last one; a long time ago for none."""
        return self.paused.get(replica, Pause(LONG_AGO, -1))

    def owners(self, replica: int) -> tuple[str, ...]:
        """The owner ids that count as this replica's own."""
        return (self.settings[replica].owner_id, *self.settings[replica].owner_id_previous)

    def is_foreign_rule(self, rule: Any) -> bool:
        """Whether the rule is certainly not one that any of the replicas would write."""
        own = plain(rule)
        services = {settings.router_service_url for settings in self.settings.values()}
        return own is None or not hash_of_hostname(own.hostname) or own.service not in services

    def hidden(self, rules: list[dict[str, Any]]) -> frozenset[str]:
        """The hostnames of rules of ours that are never reached, because a wider one catches their requests first."""
        return frozenset(
            str(rule["hostname"])
            for place, rule in enumerate(rules)
            if not self.is_foreign_rule(rule) and any(_catches(wide, rule["hostname"]) for wide in rules[:place])
        )

    def knew_at(self, replica: int) -> float:
        """Until when a replica can have seen what the effect of this moment rests on: until it sent that.

        Or until it was paused, if it has only just gone on and had no time to find out.
        """
        sent, pause = SENT.get(), self.pause_of(replica)
        seen = self.now() if sent is None else sent
        return min(seen, pause.began) if seen - pause.resumed <= WINDOW else seen

    def check_dead(self, replica: int, session: str, what: str, name: str) -> None:
        """No removal for a hash that had a live Pod when it was composed, unless nobody wants that name any more."""
        # What a replica does not want itself goes, whoever lives: its session gets another name.
        own = self.settings[replica]
        others = [s for s in self.settings.values() if _is_of(s, session) and not _is_of(own, session)]
        wanted = {n for settings in (own, *others[-1:]) for n in _names(session, settings.profile)}
        since = self.live_since.get(session)
        is_old = since is not None and self.knew_at(replica) - since > WINDOW
        self.must(not (is_old and name in wanted), f"replica {replica} removed {what} of a live session")
        self.note()  # a Pod that is still going may have been so for long, while nothing changed
        # Who was not there when a Pod went (whenever that was) only has the sweep's word, which takes its time.
        is_witness = self.had_pod.get(session, LONG_AGO) >= self.begun[replica] or self.is_forced
        term = max((at for at in self.led[replica] if at <= self.knew_at(replica)), default=self.begun[replica])
        is_patient = self.now() - term > GRACE
        self.must(is_witness or is_patient, f"replica {replica} removed {what}, an orphan, without the grace")

    def check_asked(self, replica: int, session: str, name: str, limit: float) -> None:
        """What goes for want of a Pod goes within `limit` seconds of the question to the API server whether there is
        one."""
        if name in _names(session, self.settings[replica].profile) and not self.is_on_its_way(replica):
            ago = self.now() - self.asked.get((replica, session), LONG_AGO)
            self.must(ago <= limit, f"replica {replica} removes {name} {min(ago, 9999):.2f} s after it asked who lives")

    def must(self, holds: bool, otherwise: str) -> None:
        """Remember a violation."""
        if not holds:
            self.violations.append(f"{self.now() - 1000:.2f} s: {otherwise}")
            self.tell("VIOLATION", otherwise)


wanted_of = lru_cache(maxsize=None)(desired)


def _own_annotations(metadata: Any) -> Mapping[str, str]:
    """The annotations of a Pod, unless they are another Pod's: what a tool has copied says nothing about this one."""
    annotations = metadata.get("annotations") or {}
    return annotations if annotations.get(PREFIX + "pod-uid") == metadata["uid"] else {}


def recent(times: deque[float], now: float, window: float) -> int:
    """How many times there were within the window, with now as one more; older ones are dropped."""
    times.append(now)
    # In these words, which are those of `cloudflare_ops.budget`: `now - window` is rounded in another way.
    while times[0] + window <= now:
        times.popleft()
    return len(times)


def rules_of(tunnel: Tunnel) -> list[dict[str, Any]]:
    """What is in a tunnel's document."""
    return rules_of_document(tunnel.config)


def rules_of_document(config: Any) -> list[dict[str, Any]]:
    """Its ingress rules; none of a tunnel that was never configured."""
    return list((config or {}).get("ingress") or ())


def _catches(wide: dict[str, Any], hostname: str) -> bool:
    pattern = str(wide.get("hostname") or "*")
    return pattern == "*" or (pattern.startswith("*.") and hostname.endswith(pattern[1:]))


def _is_of(settings: Settings, session: str) -> bool:
    """Whether the session belongs to the instance with these settings."""
    return (settings.router_service_url == NEIGHBOUR_SERVICE) == (session == NEIGHBOUR)


def _names(session: str, profile: Profile) -> set[str]:
    wanted = wanted_of(session, profile)
    return {wanted.hostname, *(route.name for route in wanted.routes)}
