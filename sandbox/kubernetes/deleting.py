"""What a DELETE does to an object: mark it, and perhaps let it go at once.

Called by `store`. A Pod on a node ends gracefully (its kubelet, played by a test, deletes it with grace period 0); an
object with finalizers waits for them; a namespace waits for its own finalizer; everything else is gone at once.
"""

from sandbox.kubernetes.objects import Json, at, seconds, stamp, with_metadata
from sandbox.kubernetes.refusals import conflict_by_kind
from sandbox.kubernetes.resources import NAMESPACES, PODS, Resource

_PRECONDITIONS = (
    ("uid", "UID", "The object might have been deleted and then recreated"),
    ("resourceVersion", "ResourceVersion", "The object might have been modified"),
)


def check_preconditions(resource: Resource, item: Json, options: Json) -> None:
    """Raise StatusError (409) when the object is not the one, or not as, the caller says."""
    wanted, metadata = options.get("preconditions") or {}, item["metadata"]
    for key, title, guess in _PRECONDITIONS:
        if wanted.get(key) not in (None, metadata[key]):
            differs = f"({wanted[key]}) does not match the {title} in record ({metadata[key]})"
            raise conflict_by_kind(resource, metadata["name"], f"the {title} in the precondition {differs}. {guess}")


def marked(resource: Resource, item: Json, asked: int | None, now: float) -> Json:
    """The object as it is while it goes; the same object when a DELETE changes nothing. `asked`: its grace period."""
    if resource is PODS:
        return _marked_pod(item, asked, now)
    if resource is NAMESPACES:
        return _going({**item, "status": {"phase": "Terminating"}}, now, None)
    return _going(item, now, 0) if item["metadata"].get("finalizers") else item


def is_gone(item: Json) -> bool:
    """Nothing holds it back any more: it goes with this write."""
    metadata = item["metadata"]
    return bool(
        metadata.get("deletionTimestamp")
        and not metadata.get("finalizers")
        and not metadata.get("deletionGracePeriodSeconds")
        and not (item.get("kind") == NAMESPACES.kind and at(item, ("spec", "finalizers")))
    )


def _going(item: Json, now: float, grace: int | None) -> Json:
    if item["metadata"].get("deletionTimestamp"):
        return item
    generation = item["metadata"].get("generation")
    return with_metadata(
        item,
        deletionTimestamp=stamp(now + (grace or 0)),
        deletionGracePeriodSeconds=grace,
        generation=generation and generation + 1,
    )


def _marked_pod(pod: Json, asked: int | None, now: float) -> Json:
    grace, metadata = _grace(pod, asked), pod["metadata"]
    if not metadata.get("deletionTimestamp"):
        return _going(pod, now, grace)
    current = metadata["deletionGracePeriodSeconds"]
    if grace >= current:
        return pod
    earlier = stamp(seconds(metadata["deletionTimestamp"]) - current + grace)
    return with_metadata(pod, deletionTimestamp=earlier, deletionGracePeriodSeconds=grace)


def _grace(pod: Json, asked: int | None) -> int:
    """Seconds; none for a Pod that no kubelet has to end."""
    if not at(pod, ("spec", "nodeName")) or at(pod, ("status", "phase")) in ("Succeeded", "Failed"):
        return 0
    grace: int = at(pod, ("spec", "terminationGracePeriodSeconds")) if asked is None else asked
    return max(grace, 0)
