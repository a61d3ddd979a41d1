"""Who owns what is told in fields: an object taken apart into its leaves, in the notation of `fieldsV1`.

A path is a tuple of fieldsV1 keys: `f:name` a member of a map, `k:{"name":"x"}` the member of a list with a key,
`v:"x"` a member of a set, `.` a member of a list itself. `apply` compares leaves; `patches` asks which lists have keys.
"""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from sandbox.kubernetes.objects import Json

Path = tuple[str, ...]
Leaves = dict[Path, Any]

# Which lists are merged member by member, and by what; () is a set. Every other list is one value.
_METADATA_LISTS = {"finalizers": (), "ownerReferences": ("uid",)}
_LISTS: dict[str, tuple[str, ...]] = {
    **_METADATA_LISTS,
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "conditions": ("type",),
}
_LISTS_OF = {
    ("Pod", "ports"): ("containerPort", "protocol"),
    ("Service", "ports"): ("port", "protocol"),
}
_CORE_KINDS = ("Pod", "Service", "Namespace", "Secret", "ConfigMap", "Node", "Event", "Lease")
_KEY_DEFAULTS = {"protocol": "TCP"}

# What belongs to the system or names the object is nobody's field.
_OWNERLESS = ("apiVersion", "kind")
_OWNERLESS_METADATA = (
    "name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields",
)  # fmt: skip


def list_keys(kind: str, name: str) -> tuple[str, ...] | None:
    """By which keys members of the list `name` are told apart; None when the list is one value."""
    if kind not in _CORE_KINDS:
        return _METADATA_LISTS.get(name)
    return _LISTS_OF.get((kind, name), _LISTS.get(name))


def leaves(item: Json) -> Leaves:
    """Every leaf that somebody can own, with its value."""
    kind = item.get("kind", "")
    owned = {key: value for key, value in item.items() if key not in _OWNERLESS}
    metadata = item.get("metadata") or {}
    owned["metadata"] = {key: value for key, value in metadata.items() if key not in _OWNERLESS_METADATA}
    return dict(_walk(kind, (), owned))


def _walk(kind: str, path: Path, value: Json) -> Iterator[tuple[Path, Any]]:
    for key, member in value.items():
        here = (*path, f"f:{key}")
        if isinstance(member, dict) and member:
            yield from _walk(kind, here, member)
        elif isinstance(member, list) and (keys := list_keys(kind, key)) is not None:
            yield from _walk_list(kind, here, member, keys)
        elif path or member not in ({}, None):
            # An empty map below the top is somebody's: `emptyDir: {}`.
            yield here, member


def _walk_list(kind: str, path: Path, members: list[Any], keys: tuple[str, ...]) -> Iterator[tuple[Path, Any]]:
    for member in members:
        here = (*path, element(member, keys))
        if keys:
            yield (*here, "."), None
            yield from _walk(kind, here, member)
        else:
            yield here, member


def element(member: Any, keys: tuple[str, ...]) -> str:
    """The path element of a list's member."""
    if not keys:
        return "v:" + json.dumps(member, separators=(",", ":"))
    found = {key: member.get(key, _KEY_DEFAULTS.get(key)) for key in keys}
    return "k:" + json.dumps({key: value for key, value in found.items() if value is not None}, separators=(",", ":"))


def fields_v1(paths: Iterable[Path]) -> Json:
    """Paths as the nested maps of managedFields."""
    root: Json = {}
    for path in sorted(paths):
        place = root
        for key in path:
            place = place.setdefault(key, {})
    return root


@cache
def _shown(key: str) -> str:
    kind, _, name = key.partition(":")
    if kind == "k":
        return "[" + ",".join(f"{field}={json.dumps(value)}" for field, value in json.loads(name).items()) + "]"
    return f"[={name}]" if kind == "v" else f".{name}"


def shown(path: Path) -> str:
    """A path as conflict messages write it: `.spec.containers[name="x"].image`."""
    return "".join(_shown(key) for key in path if key != ".")
