"""The three patches that look at the object alone: JSON patch, JSON merge patch, strategic merge patch.

Called by `store`, which hands in its current object and checks what comes back. Nothing here changes its arguments.
The fourth kind, server-side apply, looks at owners, too: `apply`.
"""

from collections.abc import Callable
from typing import Any

from sandbox.kubernetes.fields import list_keys
from sandbox.kubernetes.objects import Json, copied
from sandbox.kubernetes.refusals import bad_request, patch_rejected

# How a pointer's characters are escaped (RFC 6901); the order matters.
_UNESCAPE = (("~1", "/"), ("~0", "~"))
_DIRECTIVES = ("$patch", "$retainKeys")


def json_patched(item: Json, operations: Any) -> Json:
    """RFC 6902. Raises StatusError: 400 for what is no patch, 422 for what cannot be applied or whose test fails."""
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise bad_request("error decoding patch: it is no list of operations")
    document: Any = {"": copied(item)}  # under one key, so that the whole document is a member like any other
    for operation in operations:
        handler = _OPERATIONS.get(operation.get("op"))
        if handler is None or not isinstance(operation.get("path"), str):
            raise patch_rejected()
        try:
            handler(document, operation)
        except (LookupError, TypeError, ValueError) as error:
            raise patch_rejected() from error
    if not isinstance(document[""], dict):
        raise bad_request("the patched document is no object")
    patched: Json = document[""]
    return patched


def _place(document: Any, pointer: str) -> tuple[Any, str]:
    """The map or list in which `pointer` lies, and the last key."""
    if pointer and not pointer.startswith("/"):
        raise ValueError(pointer)
    *keys, last = ["", *(_unescaped(key) for key in pointer.split("/")[1:])]
    for key in keys:
        document = document[_index(document, key)]
    return document, last


def _unescaped(key: str) -> str:
    for escape, character in _UNESCAPE:
        key = key.replace(escape, character)
    return key


def _index(container: Any, key: str) -> Any:
    """`key` as this container wants it. Raises TypeError, ValueError, IndexError."""
    if isinstance(container, dict):
        return key
    if not isinstance(container, list):
        raise TypeError(key)
    if not (key.isascii() and key.isdigit()):
        raise ValueError(key)
    return int(key)


def _value_at(document: Any, pointer: str) -> Any:
    container, key = _place(document, pointer)
    return container[_index(container, key)]


def _add(document: Any, operation: Json) -> None:
    _insert(document, operation["path"], copied(operation["value"]))


def _insert(document: Any, pointer: str, value: Any) -> None:
    container, key = _place(document, pointer)
    if isinstance(container, dict):
        container[key] = value
    elif key == "-":
        container.append(value)
    elif (index := _index(container, key)) > len(container):
        raise IndexError(key)
    else:
        container.insert(index, value)


def _remove(document: Any, operation: Json) -> None:
    container, key = _place(document, operation["path"])
    del container[_index(container, key)]


def _replace(document: Any, operation: Json) -> None:
    # An absent key of a map may be replaced, against RFC 6902; Kubernetes' library allows it.
    container, key = _place(document, operation["path"])
    container[_index(container, key)] = copied(operation["value"])


def _move(document: Any, operation: Json) -> None:
    value = _value_at(document, operation["from"])
    _remove(document, {"path": operation["from"]})
    _insert(document, operation["path"], value)


def _copy(document: Any, operation: Json) -> None:
    _insert(document, operation["path"], copied(_value_at(document, operation["from"])))


def _test(document: Any, operation: Json) -> None:
    container, key = _place(document, operation["path"])
    wanted = operation["value"]
    # An absent key counts as null, if its parent is there.
    is_absent = wanted is None and isinstance(container, dict) and key not in container
    found = None if is_absent else container[_index(container, key)]
    # JSON tells true from 1; Python's == does not.
    if _typed(found) != _typed(wanted):
        raise ValueError(operation["path"])


def _typed(value: Any) -> Any:
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, list):
        return [_typed(member) for member in value]
    if isinstance(value, dict):
        return {key: _typed(member) for key, member in value.items()}
    return value


_OPERATIONS: dict[Any, Callable[[Any, Json], None]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


def merge_patched(item: Any, patch: Any) -> Any:
    """RFC 7386: null deletes, maps merge, everything else is replaced."""
    if not isinstance(patch, dict):
        return copied(patch)
    merged = dict(item) if isinstance(item, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patched(merged.get(key), value)
    return merged


def strategic_merge_patched(kind: str, item: Any, patch: Json) -> Json:
    """As a merge patch, but lists whose members have a key are merged member by member."""
    if patch.get("$patch") == "replace":
        return _plain(patch)
    merged = dict(item) if isinstance(item, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif key not in _DIRECTIVES and not key.startswith(("$setElementOrder/", "$deleteFromPrimitiveList/")):
            merged[key] = _strategic_member(kind, key, merged.get(key), value)
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            merged[name] = [member for member in merged.get(name, []) if member not in value]
    return merged


def _strategic_member(kind: str, key: str, old: Any, new: Any) -> Any:
    if isinstance(new, dict):
        return strategic_merge_patched(kind, old, new)
    keys = list_keys(kind, key) if isinstance(new, list) else None
    if keys is None:
        return copied(new)
    if not keys:
        return [*(old or []), *(member for member in new if member not in (old or []))]
    return _merged_list(kind, keys[0], old or [], new)


def _merged_list(kind: str, name: str, old: list[Json], new: list[Json]) -> list[Json]:
    """Members are the same when they have the same value of `name`."""
    if {"$patch": "replace"} in new:
        return [_plain(member) for member in new if "$patch" not in member]
    members = {member.get(name): member for member in old}
    for patch in new:
        if patch.get("$patch") == "delete":
            members.pop(patch.get(name), None)
        else:
            members[patch.get(name)] = strategic_merge_patched(kind, members.get(patch.get(name)), patch)
    return list(members.values())


def _plain(patch: Json) -> Json:
    return {key: copied(value) for key, value in patch.items() if key not in _DIRECTIVES}
