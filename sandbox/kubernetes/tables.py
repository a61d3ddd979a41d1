"""What `kubectl get` prints: a few columns per kind, made here because kubectl leaves them to the server."""

from collections.abc import Callable, Sequence
from typing import Any

from sandbox.kubernetes.objects import Json, at, seconds
from sandbox.kubernetes.resources import Resource

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400

Cells = Callable[[Json, float], list[Any]]


def table(resource: Resource, items: Sequence[Json], metadata: Json, now: float) -> Json:
    """A meta.k8s.io/v1 Table with one row per item."""
    names, cells = _COLUMNS.get(resource.kind, (("Name", "Age"), _named))
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [_column(name) for name in names],
        "rows": [{"cells": cells(item, now), "object": _partial(item)} for item in items],
    }


def _column(name: str) -> Json:
    form = "name" if name == "Name" else ""
    return {"name": name, "type": "string", "format": form, "description": name, "priority": 0}


def _partial(item: Json) -> Json:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


def age(item: Json, now: float, path: tuple[str, ...] = ("metadata", "creationTimestamp")) -> str:
    """How long ago, in one unit."""
    text = at(item, path)
    if not text:
        return "<unknown>"
    passed = int(max(now - seconds(text), 0))
    for unit, size in (("d", _DAY), ("h", _HOUR), ("m", _MINUTE)):
        if passed >= 2 * size:
            return f"{passed // size}{unit}"
    return f"{passed}s"


def _named(item: Json, now: float) -> list[Any]:
    return [item["metadata"]["name"], age(item, now)]


def _pod(item: Json, now: float) -> list[Any]:
    states = at(item, ("status", "containerStatuses")) or []
    wanted = at(item, ("spec", "containers")) or []
    ready = f"{sum(bool(state.get('ready')) for state in states)}/{len(wanted)}"
    going = item["metadata"].get("deletionTimestamp")
    status = "Terminating" if going else at(item, ("status", "reason")) or at(item, ("status", "phase"))
    restarts = sum(state.get("restartCount", 0) for state in states)
    return [item["metadata"]["name"], ready, status, str(restarts), age(item, now)]


def _event(item: Json, now: float) -> list[Any]:
    regarding = item.get("involvedObject") or {}
    subject = f"{str(regarding.get('kind', '')).lower()}/{regarding.get('name', '')}"
    seen = ("series", "lastObservedTime") if item.get("series") else ("eventTime",)
    last = age(item, now, seen if at(item, seen) else ("lastTimestamp",))
    return [last, item.get("type"), item.get("reason"), subject, str(item.get("message", "")).strip()]


def _lease(item: Json, now: float) -> list[Any]:
    return [item["metadata"]["name"], at(item, ("spec", "holderIdentity")), age(item, now)]


def _service(item: Json, now: float) -> list[Any]:
    ports = ",".join(f"{port['port']}/{port['protocol']}" for port in at(item, ("spec", "ports")) or [])
    return [item["metadata"]["name"], item["spec"]["type"], ports, age(item, now)]


_COLUMNS: dict[str, tuple[tuple[str, ...], Cells]] = {
    "Pod": (("Name", "Ready", "Status", "Restarts", "Age"), _pod),
    "Event": (("Last Seen", "Type", "Reason", "Object", "Message"), _event),
    "Lease": (("Name", "Holder", "Age"), _lease),
    "Service": (("Name", "Type", "Port(s)", "Age"), _service),
}
