"""What was last seen of the zone's records, and when: the cache behind `dns`. No calls, no await.

Filled by one list of the whole zone and by the replies to our own batches; reads and writes take turns (`dns` holds a
lock), so a list never says what was before our last write. A write with an unknown outcome leaves its names in doubt
until the next list.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from enum import Enum
from typing import Any

from cloudflare_ops import ownership
from cloudflare_ops.ownership import Entry, Verdict, entry_of, is_anothers, is_ours
from fsm.desired import DnsRecord
from fsm.errors import ConflictError
from fsm.observation import NEVER, Sight, Status
from fsm.session import Profile, hash_of_hostname


class Claim(Enum):
    """Whose record stands at a name: for the tunnel's rules, which carry no mark themselves."""

    OURS = "ours"
    ANOTHERS = "another's"  # another owner's, on our tunnel: the rule is that one's, whatever a Pod's record says
    FOREIGN = "foreign"  # also for every name that may be in another zone, of which nothing can be known
    NOBODY = "nobody"
    UNKNOWN = "unknown"


_WORST_FIRST = (Status.FOREIGN, Status.UNKNOWN, Status.MISSING)


@dataclass(frozen=True, slots=True)
class Seen:
    """The records at one name; `entries` is None in doubt, `began` when the look or the request was sent."""

    entries: tuple[Entry, ...] | None
    began: float


class ZoneView:
    """The zone as last seen."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._names: dict[str, Seen] = {}
        self._by_session: dict[str, set[str]] = {}
        self._domain = ""  # the zone's name
        self._began: float | None = None
        self._doubted = False
        self.ended = NEVER  # when the last list had arrived

    @property
    def began(self) -> float | None:
        """When the last list began; None when there is none, or when something has been in doubt since."""
        return None if self._doubted else self._began

    def replace(self, domain: str, raw: Iterable[Mapping[str, Any]], *, began: float, ended: float) -> None:
        """A complete list of the zone `domain`."""
        names: dict[str, tuple[Entry, ...]] = {}
        for entry in map(entry_of, raw):
            names[entry.name] = (*names.get(entry.name, ()), entry)
        self._names, self._by_session = {}, {}
        self._domain, self._began, self._doubted, self.ended = domain, began, False, ended
        for name, entries in names.items():
            self._put(name, Seen(entries, began))

    def absorb(self, raw: Iterable[Mapping[str, Any]], *, began: float) -> None:
        """Records in the reply to our own posts or patches."""
        for entry in map(entry_of, raw):
            others = tuple(other for other in self.at(entry.name).entries or () if other.id != entry.id)
            self._put(entry.name, Seen((*others, entry), began))

    def drop(self, raw: Iterable[Mapping[str, Any]], *, began: float) -> None:
        """Records in the reply to our own deletes, which may hold nothing but the ids."""
        gone = {str(item["id"]) for item in raw}
        for name, seen in list(self._names.items()):
            if any(entry.id in gone for entry in seen.entries or ()):
                self._put(name, Seen(tuple(entry for entry in seen.entries or () if entry.id not in gone), began))

    def doubt(self, names: Iterable[str]) -> None:
        """Nobody knows what is at these names."""
        self._doubted = True
        for name in names:
            self._put(name, Seen(None, NEVER))

    def at(self, name: str) -> Seen:
        """What was last seen at this name."""
        if self._began is None:
            return Seen(None, NEVER)
        return self._names.get(name.lower(), Seen((), self._began))

    def status(self, record: DnsRecord) -> Status:
        """What was last seen of a wanted record."""
        entries = self.at(record.name).entries
        if entries is None:
            return Status.UNKNOWN
        verdicts = [ownership.judge(entry, self._profile) for entry in entries]
        if Verdict.FOREIGN in verdicts:
            return Status.FOREIGN
        return Status.PRESENT if verdicts == [Verdict.OURS] else Status.MISSING

    def conflict(self, record: DnsRecord) -> ConflictError:
        """The error for a record whose status is FOREIGN."""
        entries = self.at(record.name).entries or ()
        foreign = next(entry for entry in entries if ownership.judge(entry, self._profile) is Verdict.FOREIGN)
        return ConflictError(ownership.CONFLICT, *ownership.conflict_text(foreign, self._profile))

    def ours(self, session: str) -> tuple[Entry, ...]:
        """The session's records that are ours, in a stable order."""
        names = sorted(self._by_session.get(session, ()))
        return tuple(e for name in names for e in self.at(name).entries or () if is_ours(e, self._profile))

    def sessions(self) -> Set[str]:
        """The hashes of which a record of ours was seen."""
        return {session for session in self._by_session if self.ours(session)}

    def sight(self, session: str, wanted: tuple[DnsRecord, ...]) -> Sight:
        """What was last seen of `wanted`, and of everything else that is ours of this session."""
        if self._began is None:
            return Sight(Status.UNKNOWN)
        began = min((self.at(record.name).began for record in wanted), default=self._began)
        # What is in doubt may be ours, and left.
        doubtful = (name for name in sorted(self._by_session.get(session, ())) if self.at(name).entries is None)
        ours = tuple(dict.fromkeys((*(entry.name for entry in self.ours(session)), *doubtful)))
        by_status = {self.status(record): record for record in wanted}
        worst = next((status for status in _WORST_FIRST if status in by_status), Status.PRESENT)
        problem = str(self.conflict(by_status[worst])) if worst is Status.FOREIGN else ""
        return Sight(worst, began, problem, ours)

    def claim(self, name: str) -> Claim:
        """Whose record stands at this name."""
        entries = self.at(name).entries
        if entries is None:
            return Claim.UNKNOWN
        if not name.lower().endswith("." + self._domain):
            return Claim.FOREIGN
        if not entries:
            # What is deeper may be a zone of its own, whose records this one does not list.
            is_listed = name.lower().partition(".")[2] in (self._domain, self._profile.domain)
            return Claim.NOBODY if is_listed else Claim.FOREIGN
        if any(is_anothers(entry, self._profile) for entry in entries):
            return Claim.ANOTHERS
        return Claim.OURS if all(is_ours(entry, self._profile) for entry in entries) else Claim.FOREIGN

    def _put(self, name: str, seen: Seen) -> None:
        self._names[name] = seen
        if session := hash_of_hostname(name):
            self._by_session.setdefault(session, set()).add(name)
