"""The Lease as a document: who holds it, and what it looks like when we do. Pure: `k8s.elector` sends it.

Every change keeps whatever else is in the object (other people's labels and annotations, fields of later versions).
Times in it are for people: no replica compares another's clock with its own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from k8s.client import Object

API = "coordination.k8s.io/v1"
RELEASED = 1  # seconds: a Lease needs a duration, and refuses 0
LONGEST = 300.0  # seconds: a hand-edited duration must not stop everything for days


@dataclass(frozen=True)
class LeaseFacts:
    """What a Lease says. `token` changes whenever the holder shows a sign of life."""

    holder: str = ""  # "": nobody
    duration: float = 0.0  # seconds that the holder may stay silent
    token: tuple[str, str, str] = ("", "", "")
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)


def read(lease: Object) -> LeaseFacts:
    """The facts of a Lease object."""
    spec = lease.get("spec") or {}
    holder = str(spec.get("holderIdentity") or "")
    duration = min(float(spec.get("leaseDurationSeconds") or RELEASED), LONGEST)
    token = (holder, str(spec.get("renewTime")), str(spec.get("acquireTime")))
    return LeaseFacts(holder, duration, token, lease["metadata"].get("annotations") or {})


def new(name: str, namespace: str, identity: str, duration: float, now: datetime) -> Object:
    """A Lease that nobody has made yet, held by `identity`."""
    empty = {"apiVersion": API, "kind": "Lease", "metadata": {"name": name, "namespace": namespace}}
    lease = claimed(empty, identity, duration, now)
    return {**lease, "spec": {**lease["spec"], "leaseTransitions": 0}}


def claimed(lease: Object, identity: str, duration: float, now: datetime) -> Object:
    """The Lease taken over from another holder, or from nobody."""
    transitions = int((lease.get("spec") or {}).get("leaseTransitions") or 0) + 1
    spec = {"holderIdentity": identity, "acquireTime": microtime(now), "leaseTransitions": transitions}
    return renewed(_with_spec(lease, spec), duration, now)


def renewed(lease: Object, duration: float, now: datetime) -> Object:
    """The Lease with a new sign of life."""
    return _with_spec(lease, {"leaseDurationSeconds": max(1, math.ceil(duration)), "renewTime": microtime(now)})


def released(lease: Object, now: datetime) -> Object:
    """The Lease held by nobody, for the next one to take at once."""
    return _with_spec(lease, {"holderIdentity": "", "leaseDurationSeconds": RELEASED, "renewTime": microtime(now)})


def annotated(lease: Object, notes: Mapping[str, str | None]) -> Object:
    """The Lease with these annotations set, or removed where None."""
    metadata = lease["metadata"]
    merged = {**(metadata.get("annotations") or {}), **notes}
    return {
        **lease,
        "metadata": {**metadata, "annotations": {k: text for k, text in merged.items() if text is not None}},
    }


def microtime(now: datetime) -> str:
    """Kubernetes' MicroTime: UTC, always six digits."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _with_spec(lease: Object, spec: Mapping[str, Any]) -> Object:
    return {**lease, "spec": {**(lease.get("spec") or {}), **spec}}
