"""Frozen facts about one session: its Pods, and what was seen of it in the world, with the time of each look.

`controller.reconcile` puts one together from the caches; `fsm.decide` reads it. Evidence has a time: a look that began
before our last write of a name is dropped by the cache that holds it, and one that began before we first saw the
session's Pod proves nothing here (`is_fresh`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from fsm.desired import Desired

NEVER = -math.inf


@dataclass(frozen=True)
class PodFacts:
    """What this operator knows of a session Pod: metadata alone.

    `annotations` holds our own keys only (other people's may be secrets and never get here); `bare` tells that the Pod
    has no annotations at all, for which a JSON patch needs another form. `first_seen` is monotonic seconds.
    """

    namespace: str
    name: str
    uid: str
    session: str
    created: str  # RFC 3339, as the API server wrote it
    deleting: bool
    resource_version: str
    first_seen: float
    bare: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)


class Status(Enum):
    """What a look says about one part of a session."""

    UNKNOWN = "unknown"  # no look yet, or a write whose outcome nobody knows
    MISSING = "missing"  # not there, or ours but not as wanted: the effect makes it so
    PRESENT = "present"  # exactly as wanted, and ours
    FOREIGN = "foreign"  # somebody else's object has the name


@dataclass(frozen=True)
class Sight:
    """One part (records, rules or routes) of one session as last seen.

    `began` is the monotonic time at which the look, or the request whose reply this is, was sent. `problem` is the
    text for `last-error` when FOREIGN. `ours` names the session's objects that are ours, wanted or left over.
    """

    status: Status
    began: float = NEVER
    problem: str = ""
    ours: tuple[str, ...] = ()


def carrier_of(pods: tuple[PodFacts, ...]) -> PodFacts | None:
    """The Pod whose annotations hold the session's record: the newest live one, else the newest that is going."""
    return max(pods, key=lambda pod: (not pod.deleting, pod.created, pod.uid), default=None)


@dataclass(frozen=True)
class Observation:
    """Everything `decide` may know about one session.

    `permitted` tells that a removal may begin: somebody saw the Pod go, or the sweep released the hash.
    """

    session: str
    wanted: Desired
    pods: tuple[PodFacts, ...]
    dns: Sight
    rules: Sight
    routes: Sight
    permitted: bool = False

    @property
    def live(self) -> PodFacts | None:
        """The newest live Pod: it carries the record. Live is what has no deletionTimestamp; the phase says nothing."""
        carrier = self.carrier
        return None if carrier is None or carrier.deleting else carrier

    @property
    def carrier(self) -> PodFacts | None:
        """The Pod whose annotations hold the record."""
        return carrier_of(self.pods)

    @property
    def since(self) -> float:
        """The time before which a look proves nothing for this session."""
        carrier = self.carrier
        return carrier.first_seen if carrier else NEVER

    @property
    def parts(self) -> tuple[Sight, Sight, Sight]:
        """Records, rules, routes: in the order of the journey."""
        return (self.dns, self.rules, self.routes)

    def is_fresh(self, sight: Sight) -> bool:
        """Whether `sight` proves anything for the Pod that is there now."""
        return sight.status is not Status.UNKNOWN and sight.began >= self.since
