"""One Event, two shapes: `v1` and `events.k8s.io/v1` name the same values differently.

The store keeps the shape of `v1`; `store` translates for the clients of events.k8s.io, both ways.
"""

from collections.abc import Mapping

from sandbox.kubernetes.objects import Json
from sandbox.kubernetes.resources import CORE_EVENTS, EVENTS, Resource

_TO_CORE = {
    "note": "message",
    "regarding": "involvedObject",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_FROM_CORE = {core: new for new, core in _TO_CORE.items()}


def kept(resource: Resource, item: Json) -> Json:
    """What the store keeps of an object that a client of `resource` sent."""
    return _translated(item, _TO_CORE, CORE_EVENTS) if resource is EVENTS else item


def shown(resource: Resource, item: Json) -> Json:
    """What a client of `resource` sees of a kept object."""
    return _translated(item, _FROM_CORE, EVENTS) if resource is EVENTS else item


def _translated(item: Json, names: Mapping[str, str], resource: Resource) -> Json:
    return {names.get(key, key): value for key, value in item.items()} | {"apiVersion": resource.api_version}
