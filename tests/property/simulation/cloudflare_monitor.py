"""Sees every request to Cloudflare and every effect there, and knows what must never be.

Part of `monitor`; called by `cloudflare.SimulatedTransport` when a replica asks, when the effect happens, and when the
answer is there.
"""

import math
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cloudflare_ops import ownership
from cloudflare_ops.ingress import plain
from cloudflare_ops.transport import Reply
from fsm.desired import TunnelRule
from fsm.session import hash_of_hostname
from sandbox.cloudflare.envelope import Request
from sandbox.cloudflare.tunnels import Tunnel
from tests.property.simulation.eyes import WINDOW, Eyes, recent, rules_of_document

DOCUMENT_AGE = 2.0 + 0.01  # seconds from the end of a read to the send of the write
PROOF = 2.0 + 0.01  # seconds from the question whether a session lives to the send of the removal
BUDGET_WINDOW = 300.0  # seconds
WRITES_A_MINUTE = 90  # of one replica, whatever goes wrong: an endless loop makes hundreds


@dataclass(frozen=True)
class Read:
    """A tunnel document as a replica got it."""

    at: float
    config: Any
    version: int


@dataclass(frozen=True)
class Mark:
    """An operator's write of a record; `over` is what had stood there, empty for none."""

    at: float
    over: Mapping[str, Any]


class CloudflareMonitor(Eyes):
    """The half that looks at Cloudflare."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.lost_edits = 0
        self.jumps: Counter[int] = Counter()  # by replica: replies from which it could tell that an edit was lost
        self.most_writes = 0  # in a minute
        self.reading: dict[int, bool] = {}  # by replica: whether its newest request is a read of the tunnel
        # By replica: when it got no reply; twice for a request that was not even sent, which is a failure at once.
        self.lost: defaultdict[int, list[float]] = defaultdict(list)
        self._marked: dict[str, Mark] = {}  # by the record's id: the newest
        # Removed by one replica, and back with what another one had read before: who removed it has forgotten it.
        self.put_back: set[TunnelRule] = set()
        # By replica: when it asked for a list of records, and when it had it.
        self._lists: defaultdict[int, deque[tuple[float, float]]] = defaultdict(lambda: deque(maxlen=50))
        self._reads: defaultdict[int, deque[Read]] = defaultdict(lambda: deque(maxlen=50))
        self._calls: defaultdict[int, deque[float]] = defaultdict(deque)
        self._silent: dict[int, tuple[float, float]] = {}  # by replica: after when and until when
        self._written: defaultdict[int, deque[float]] = defaultdict(deque)

    def foreign_part(self, config: Any) -> str:
        """Everything in a document that is not ours, in its order."""
        rules = [rule for rule in rules_of_document(config) if self.is_foreign_rule(rule)]
        return repr({**(config or {}), "ingress": rules})

    def cloudflare_asked(self, replica: int, request: Request) -> float:
        """A replica is about to send this; the time."""
        now = self.now()
        sent = recent(self._calls[replica], now, BUDGET_WINDOW)
        budget = self.settings[replica].cf_request_budget
        self.must(sent <= budget, f"replica {replica} sent {sent} requests in five minutes, of {budget}")
        after, until = self._silent.get(replica, (now, now))
        # What was begun in the very moment of the answer is on its way.
        self.must(not after < now < until, f"replica {replica} sends although it was asked not to")
        self.reading[replica] = request.method == "GET" and request.path.endswith("/configurations")
        if request.method == "GET":
            return now
        self.writes[f"{request.method} {','.join(request.body)}"] += 1
        written = recent(self._written[replica], now, 60.0)
        self.most_writes = max(self.most_writes, written)
        self.must(written <= WRITES_A_MINUTE, f"replica {replica} sent {written} writes to Cloudflare in a minute")
        self._note_own(replica, request)
        # Nothing in the API could stop a write that was paused between its checks and the send.
        if not self.is_on_its_way(replica):
            self.check_lease(replica, f"{request.method} to Cloudflare", self.settings[replica].call_limit)
            holder = self.holder(replica)
            self.must(holder == replica, f"replica {replica} writes, but the lease is {holder}'s")
            if request.method == "PUT":
                self._check_edit(replica, request.body["config"])
            else:
                self.must(len(request.body) == 1, f"replica {replica} mixes {sorted(request.body)} in one batch")
                self._check_deletes(replica, request.body.get("deletes", ()))
        return now

    def _check_deletes(self, replica: int, deletes: Any) -> None:
        known = {record["id"]: record["name"] for record in self.world.records.all()}
        for name in filter(None, (known.get(entry["id"]) for entry in deletes)):
            self.check_asked(replica, hash_of_hostname(name) or "", name, PROOF)

    def _note_own(self, replica: int, request: Request) -> None:
        """The names that a write is about: what was seen of them before proves nothing afterwards."""
        if request.method == "PUT":
            reads = self._reads[replica]
            before = rules_of_document(reads[-1].config if reads else None)
            after = rules_of_document(request.body["config"])
            changed = set(map(repr, before)) ^ set(map(repr, after))
            names = {str(rule.get("hostname")) for rule in (*before, *after) if repr(rule) in changed}
            self.wrote |= {(replica, "rule", name): self.now() for name in names}
        else:
            known = {record["id"]: record["name"] for record in self.world.records.all()}
            entries = [entry for entries in request.body.values() for entry in entries]
            names = {str(entry.get("name") or known.get(entry.get("id"))) for entry in entries}
            self.wrote |= {(replica, "dns", name): self.now() for name in names}

    def cloudflare_throttled(self, replica: int, seconds: float) -> None:
        """A replica is asked to send nothing for so long."""
        self._silent[replica] = (self.now(), self.now() + seconds)

    def cloudflare_lost(self, replica: int, *, sent: bool) -> None:
        """A replica got no reply."""
        self.lost[replica] += [self.now()] * (1 if sent else 2)

    def cloudflare_answered(self, replica: int, request: Request, reply: Reply, asked: float) -> None:
        """A replica got this."""
        self.must(reply.status != 429, f"replica {replica} used up the token's own limit")
        if reply.status != 200:
            return
        result: Any = reply.body
        result = result["result"]
        if request.path.endswith("/configurations"):
            config, version = result["config"], result["version"]
            if request.method == "PUT" and version > self._reads[replica][-1].version + 1:
                self.jumps[replica] += 1
            self._reads[replica].append(Read(self.now(), config, version))
            service = self.settings[replica].router_service_url
            rules = rules_of_document(config)
            right = {own.hostname for own in map(plain, rules) if own and own.service == service}
            self.show(replica, "rule", asked, sorted(right - self.hidden(rules)))
        elif isinstance(result, list):
            self._lists[replica].append((asked, self.now()))
            self._show_records(replica, result, asked)
        elif request.method == "POST":
            self._show_records(replica, [*(result.get("posts") or ()), *(result.get("patches") or ())], asked)

    def _show_records(self, replica: int, records: list[Any], asked: float) -> None:
        """Those that are as the replica wants them: one without its proxy leads nowhere."""
        settings = self.settings[replica]
        right = {"type": "CNAME", "content": settings.profile.tunnel_target, "proxied": True, "ttl": 1}
        right |= {"comment": ownership.render(settings.owner_id)}
        self.show(replica, "dns", asked, [record["name"] for record in records if right.items() <= record.items()])

    def _check_edit(self, replica: int, config: Any) -> None:
        """What is sent is a recent read plus our own edit."""
        foreign, now = self.foreign_part(config), self.now()
        reads = [read for read in self._reads[replica] if self._handled(replica, read) >= now - DOCUMENT_AGE]
        bases = [read for read in reads if self.foreign_part(read.config) == foreign]
        self.must(bool(bases), f"replica {replica} PUTs a document that is no recent read plus its own edit")
        # What somebody put a wildcard before is moved when its own session is looked at.
        hidden = self.hidden(rules_of_document(config)).difference(
            *(self.hidden(rules_of_document(base.config)) for base in bases)
        )
        self.must(not hidden, f"replica {replica} puts {sorted(hidden)} behind a wildcard")
        if bases:
            sent, before = rules_of_document(config), rules_of_document(bases[-1].config)
            for rule in (rule for rule in before if not self.is_foreign_rule(rule) and rule not in sent):
                self._check_rule_removed(replica, rule, config)
            changed = [rule for rule in (*before, *sent) if rule not in before or rule not in sent]
            moved = self.hidden(before) - self.hidden(sent)
            for host in moved | {str(rule.get("hostname")) for rule in changed if not self.is_foreign_rule(rule)}:
                self._check_no_others(replica, host, bases[-1])

    def _handled(self, replica: int, read: Read) -> float:
        """When the replica could look at it: who stops beside a reply cannot tell how long it lay there."""
        pause = self.pause_of(replica)
        return max(pause.resumed, read.at) if read.at == pause.began else read.at

    def _check_rule_removed(self, replica: int, rule: Any, config: Any) -> None:
        host, service = rule["hostname"], rule["service"]
        lease = (self.settings[replica].watch_namespace, self.settings[replica].lease_name)
        own = {s.router_service_url for s in self.settings.values() if (s.watch_namespace, s.lease_name) == lease}
        self.must(service in own, f"replica {replica} removes a rule of another instance: {rule}")
        if all(other.get("hostname") != host for other in config["ingress"]):  # else it points somewhere else now
            self.check_dead(replica, hash_of_hostname(host) or "", f"the rule {host}", host)
            self.check_asked(replica, hash_of_hostname(host) or "", host, PROOF)

    def _check_no_others(self, replica: int, host: str, base: Read) -> None:
        """No rule is touched beside a record of another owner that was in the last list: the record stands for it."""
        seen = [asked for asked, got in self._lists[replica] if got <= base.at]
        for record in self.world.records.at(host):
            owner = ownership.parse(str(record["comment"]))
            is_others = owner not in (None, *self.owners(replica)) and record["id"] not in self.foreign_records
            is_known = self._mark_of(record).at < max(seen, default=math.inf)
            is_on_our_tunnel = record["content"] == self.settings[replica].profile.tunnel_target
            is_wrong = is_others and is_known and is_on_our_tunnel
            self.must(not is_wrong, f"replica {replica} changes the rule {host} beside the record of {owner}")

    @contextmanager
    def cloudflare_effect(self, replica: int, request: Request) -> Iterator[None]:
        """Around the moment in which the request has its effect."""
        if request.method == "GET":
            yield
            return
        self.note()
        records = {record["id"]: dict(record) for record in self.world.records.all()}
        tunnel = self.world.tunnels[self.settings[replica].cf_tunnel_id]
        foreign, version, rules = self.foreign_part(tunnel.config), tunnel.version, _plain_rules(tunnel.config)
        yield
        self.tell(f"replica {replica}", _short(request))
        self._check_records(replica, records)
        if tunnel.version != version:
            self._check_document(tunnel, foreign)
            newest = _plain_rules(self._reads[replica][-1].config)
            self.put_back |= (_plain_rules(tunnel.config) - rules) & newest
        self.note()

    def _check_records(self, replica: int, before: dict[str, Any]) -> None:
        after = {record["id"]: record for record in self.world.records.all()}
        for key, record in before.items():
            if after.get(key) != record:
                self._check_record_touched(replica, record, after.get(key))
        for key, record in after.items():
            is_marked = ownership.parse(str(record["comment"])) == self.settings[replica].owner_id
            is_written = before.get(key) != record
            if is_written and is_marked:
                self._marked[key] = Mark(self.now(), before.get(key, {}))
            self.must(is_marked or not is_written, f"replica {replica} wrote {record['name']} without the mark")

    def _check_record_touched(self, replica: int, record: Any, after: Any) -> None:
        name, what = record["name"], "changed" if after else "removed"
        mark = self._mark_of(record)
        is_ours = self._may_write(replica, record, remove=not after)
        # Writes go by id, without a precondition: another owner id may have taken it over since this one was sent.
        is_overtaken = mark.at > self.knew_at(replica) and self._may_write(replica, mark.over, remove=not after)
        is_late = self._is_turned_meanwhile(replica, record["id"])
        self.must(is_ours or is_overtaken or is_late, f"replica {replica} {what} the foreign record {name}")
        session = hash_of_hostname(name)
        if not after and session:
            self.check_dead(replica, session, f"the record {name}", name)

    def _mark_of(self, record: Any) -> Mark:
        return self._marked.get(record["id"], Mark(-math.inf, {}))

    def _may_write(self, replica: int, record: Mapping[str, Any], *, remove: bool) -> bool:
        """Whether a record as this one is the replica's own, or, unless it is to go, one of the original operator."""
        comment = str(record.get("comment") or "")
        # What somebody else made stays theirs, whatever its comment looks like.
        is_marked = ownership.parse(comment) in self.owners(replica) and record["id"] not in self.foreign_records
        is_ours = is_marked and record["content"] == self.settings[replica].profile.tunnel_target
        return is_ours or (not remove and comment == ownership.ORIGINAL_COMMENT)

    def _is_turned_meanwhile(self, replica: int, record: str) -> bool:
        """Writes go by id, without a precondition: who makes our record their own in these seconds may lose it."""
        if record not in self.turned_records or self.knew_at(replica) - self.foreign_records[record][0] > WINDOW:
            return False
        self.turned_records.discard(record)
        del self.foreign_records[record]
        return True

    def _check_document(self, tunnel: Tunnel, foreign: str) -> None:
        if self.foreign_part(tunnel.config) != foreign:
            # Cloudflare has no precondition: an edit between read and write is lost, and has to be reported.
            self.lost_edits += 1
            self.tell("world", "a foreign edit between read and write was overwritten")


def _plain_rules(config: Any) -> set[TunnelRule]:
    return set(filter(None, map(plain, rules_of_document(config))))


def _short(request: Request) -> str:
    if request.method == "PUT":
        hosts = [str(rule.get("hostname", "*"))[:16] for rule in request.body["config"].get("ingress") or ()]
        return f"PUT tunnel {hosts}"
    kinds = {kind: [str(e.get("name", e.get("id")))[:16] for e in entries] for kind, entries in request.body.items()}
    return f"{request.method} batch {kinds}"
