"""What is remembered of an IngressRoute, and whose it is. Pure: `k8s.routes` parses with it and asks it.

A route is remembered as a digest of the fields that we apply (three labels, entry points, rules), never as an object.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fsm.errors import ConflictError
from fsm.session import HASH_LABEL, MANAGED_BY_LABEL, MANAGER, OWNER_LABEL, hash_of_route

_LABELS = (MANAGED_BY_LABEL, OWNER_LABEL, HASH_LABEL)
_SPEC = ("entryPoints", "routes")


class Ownership(Enum):
    """Whose a route is."""

    OURS = "ours"  # our label, or a previous owner id's
    ADOPTABLE = "adoptable"  # made by the original operator: its label, no owner
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """One IngressRoute whose name has the shape of a session's."""

    name: str
    uid: str
    session: str
    owner: str | None
    manager: str | None
    deleting: bool
    digest: str


def parse(item: Mapping[str, Any]) -> RouteFacts | None:
    """The facts of an IngressRoute; None when its name is no session's."""
    metadata = item["metadata"]
    session = hash_of_route(str(metadata.get("name")))
    if session is None:
        return None
    labels = metadata.get("labels") or {}
    return RouteFacts(
        name=str(metadata.get("name")),
        uid=str(metadata.get("uid")),
        session=session,
        owner=labels.get(OWNER_LABEL),
        manager=labels.get(MANAGED_BY_LABEL),
        deleting=bool(metadata.get("deletionTimestamp")),
        digest=digest(item),
    )


def digest(item: Mapping[str, Any]) -> str:
    """A digest of what we apply in this object: the same for a manifest and for the object made of it."""
    labels = item["metadata"].get("labels") or {}
    spec = item.get("spec") or {}
    applied = [[labels.get(key) for key in _LABELS], [spec.get(key) for key in _SPEC]]
    text = json.dumps(applied, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def ownership(facts: RouteFacts, owners: Collection[str]) -> Ownership:
    """Whose the route is, for an operator that goes by `owners`."""
    if facts.owner in owners:
        return Ownership.OURS
    adoptable = facts.owner is None and facts.manager == MANAGER
    return Ownership.ADOPTABLE if adoptable else Ownership.FOREIGN


def conflict(facts: RouteFacts, namespace: str) -> ConflictError:
    """The error for a foreign route of a wanted name."""
    whose = f"belongs to owner {facts.owner}" if facts.owner else "was not made by this operator"
    return ConflictError(
        "RouteConflict",
        f"IngressRoute {namespace}/{facts.name} exists and {whose}",
        "delete it, or add its owner to OWNER_ID_PREVIOUS if it may be taken over"
        if facts.owner
        else f"delete it, or label it {MANAGED_BY_LABEL}={MANAGER} if it may be taken over",
    )
