"""The record's compare-and-set as a JSON patch. Pure: `k8s.pods` sends what this builds to the Pod's `status`.

`test` operations hold the Pod's uid and the literal text of every key as last seen, so that neither a stale replica
nor a wiped, edited or copied text slips through, while the kubelet and the router, which move `resourceVersion` all
the time, do not conflict with us.
"""

from collections.abc import Collection, Mapping
from typing import Any

from fsm.observation import PodFacts

_MAP = "/metadata/annotations"


def build(pod: PodFacts, texts: Mapping[str, str], keys: Collection[str]) -> list[dict[str, Any]]:
    """Make the annotations in `keys` exactly `texts` if they are what `pod` says; empty when they are that already."""
    wanted = {key: texts[key] for key in sorted(keys) if key in texts}
    seen = {key: pod.annotations[key] for key in sorted(keys) if key in pod.annotations}
    if wanted == seen:
        return []
    uid = {"op": "test", "path": "/metadata/uid", "value": pod.uid}
    # A Pod without annotations has no map: nothing can be tested or added below it.
    if pod.bare:
        return [uid, {"op": "test", "path": _MAP, "value": None}, {"op": "add", "path": _MAP, "value": wanted}]
    tests = [{"op": "test", "path": _path(key), "value": seen.get(key)} for key in sorted(keys)]
    adds = [{"op": "add", "path": _path(key), "value": text} for key, text in wanted.items() if seen.get(key) != text]
    removes = [{"op": "remove", "path": _path(key)} for key in seen if key not in wanted]
    return [uid, *tests, *adds, *removes]


def would_hold(pod: PodFacts, present: PodFacts, keys: Collection[str]) -> bool:
    """Whether the tests built from `pod` hold for what is there now."""
    same = all(pod.annotations.get(key) == present.annotations.get(key) for key in keys)
    return same and pod.uid == present.uid and pod.bare == present.bare


def _path(key: str) -> str:
    """The key as a JSON pointer below the map (RFC 6901: `~` first, or the escape would be escaped)."""
    return f"{_MAP}/{key.replace('~', '~0').replace('/', '~1')}"
