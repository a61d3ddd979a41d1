"""Owners of fields, and server-side apply (the rules of structured-merge-diff).

Called by `store` for every write: a plain write takes over what it changed (`after_update`), an apply merges a
configuration into the live object, meets conflicts, and lets go of what it no longer mentions (`applied`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sandbox.kubernetes.fields import Path, element, fields_v1, leaves, list_keys, shown
from sandbox.kubernetes.objects import Json, copied
from sandbox.kubernetes.refusals import Cause, apply_conflict


@dataclass(frozen=True, slots=True)
class Owner:
    """One manager's fields; the first four values tell managers apart."""

    manager: str
    operation: str
    api_version: str
    subresource: str
    time: str
    paths: frozenset[Path] = frozenset()

    def is_same(self, other: "Owner") -> bool:
        mine = (self.manager, self.operation, self.subresource)
        # One who applies stays the same under every version of the API.
        return mine == (other.manager, other.operation, other.subresource) and (
            self.operation == "Apply" or self.api_version == other.api_version
        )

    def json(self) -> Json:
        """An entry of metadata.managedFields."""
        entry = {
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields_v1(self.paths),
        }
        return {**entry, "subresource": self.subresource} if self.subresource else entry

    def __str__(self) -> str:
        text = f'"{self.manager}"' + (f' with subresource "{self.subresource}"' if self.subresource else "")
        return text if self.operation == "Apply" else f"{text} using {self.api_version} at {self.time}"


Owners = tuple[Owner, ...]


def after_update(old: Json, new: Json, owners: Owners, me: Owner) -> Owners:
    """The owners once `me` has made `new` of `old` by anything but an apply."""
    before, after = leaves(old), leaves(new)
    changed = frozenset(path for path, value in after.items() if path not in before or before[path] != value)
    gone = before.keys() - after.keys()
    mine = changed.union(*(owner.paths for owner in owners if owner.is_same(me))) - gone
    return _settled(owners, changed | gone, replace(me, paths=mine))


def applied(live: Json, config: Json, owners: Owners, me: Owner, *, force: bool) -> tuple[Json, Owners]:
    """`config` merged into `live`, and the owners afterwards.

    Raises:
        StatusError (409): somebody else owns a field that would change, and `force` is not given.
    """
    wanted = leaves(config)
    others = tuple(owner for owner in owners if not owner.is_same(me))
    last = frozenset[Path]().union(*(owner.paths for owner in owners if owner.is_same(me)))
    abandoned = last - wanted.keys() - frozenset[Path]().union(*(owner.paths for owner in others))
    merged = _pruned(config.get("kind", ""), _merged(config.get("kind", ""), live, config), abandoned)
    before, after = leaves(live), leaves(merged)
    changed = frozenset(path for path in wanted if path not in before or before[path] != after.get(path))
    conflicts = [(owner, path) for owner in others for path in sorted(owner.paths & changed)]
    if conflicts and not force:
        raise _conflict(conflicts)
    gone = before.keys() - after.keys()
    return merged, _settled(others, changed | gone, replace(me, paths=frozenset(wanted)))


def _settled(owners: Owners, lost: frozenset[Path], me: Owner) -> Owners:
    """Everybody but `me` without what is lost; who owns nothing is not listed."""
    others = (replace(owner, paths=owner.paths - lost) for owner in owners if not owner.is_same(me))
    return tuple(owner for owner in (*others, me) if owner.paths)


def _conflict(conflicts: list[tuple[Owner, Path]]) -> Exception:
    causes = [Cause("FieldManagerConflict", shown(path), f"conflict with {owner}") for owner, path in conflicts]
    if len(conflicts) == 1:
        return apply_conflict(causes, f"Apply failed with 1 conflict: {causes[0].message}: {causes[0].field}")
    told: dict[str, list[str]] = {}
    for owner, path in conflicts:
        told.setdefault(str(owner), []).append(f"- {shown(path)}")
    parts = [f"conflicts with {owner}:\n" + "\n".join(paths) for owner, paths in sorted(told.items())]
    return apply_conflict(causes, f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(parts))


def _merged(kind: str, live: Any, config: Mapping[str, Any]) -> Json:
    result = dict(live) if isinstance(live, dict) else {}
    for key, value in config.items():
        old = result.get(key)
        if isinstance(value, dict):
            result[key] = _merged(kind, old, value)
        elif isinstance(value, list) and (keys := list_keys(kind, key)) is not None:
            result[key] = _merged_list(kind, keys, old or [], value)
        else:
            result[key] = copied(value)
    return result


def _merged_list(kind: str, keys: tuple[str, ...], old: list[Any], new: list[Any]) -> list[Any]:
    members = {element(member, keys): member for member in old}
    for member in new:
        name = element(member, keys)
        members[name] = _merged(kind, members.get(name), member) if keys else member
    return list(members.values())


def _pruned(kind: str, item: Json, abandoned: frozenset[Path]) -> Json:
    """`item` (which nobody else holds) without the abandoned leaves, and without the containers they leave empty."""
    if not abandoned:
        return item
    return _without(kind, item, fields_v1(abandoned))


def _without(kind: str, item: Json, tree: Json) -> Json:
    result = {}
    for key, value in item.items():
        branch = tree.get(f"f:{key}")
        if branch is None:
            result[key] = value
        elif branch and (kept := _rest(kind, key, value, branch)):
            result[key] = kept
    return result


def _rest(kind: str, key: str, value: Any, branch: Json) -> Any:
    if isinstance(value, dict):
        return _without(kind, value, branch)
    keys = list_keys(kind, key)
    if not isinstance(value, list) or keys is None:
        return value
    return [kept for member in value if (kept := _member_rest(kind, member, branch.get(element(member, keys))))]


def _member_rest(kind: str, member: Any, branch: Json | None) -> Any:
    if branch is None:
        return member
    # "." is the member itself: who let go of it and of whom nobody else owns it takes it along.
    return None if not branch or "." in branch else _without(kind, member, branch)
