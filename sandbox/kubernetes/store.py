"""What a write means: create, replace, patch, apply, delete, as the API server does them.

Called by `api` with the body of a request; keeps the result on the `shelf` and returns the object as the client sees
it. Every method raises `StatusError` and has changed nothing then.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from sandbox.kubernetes import events, schemas, validation
from sandbox.kubernetes.apply import Owner, Owners, after_update, applied
from sandbox.kubernetes.deleting import check_preconditions, is_gone, marked
from sandbox.kubernetes.objects import Json, at, stamp, with_metadata, without
from sandbox.kubernetes.refusals import (
    StatusError,
    already_exists,
    bad_request,
    conflict,
    internal,
    invalid_object,
    namespace_terminating,
    not_found,
    stale,
    success,
    wrong,
)
from sandbox.kubernetes.resources import CORE_EVENTS, EVENTS, LEASES, NAMESPACES, Resource
from sandbox.kubernetes.shelf import Key, Shelf

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_CREATED_BY_PUT = (LEASES, CORE_EVENTS, EVENTS)
# What a client's text about the object cannot change.
_SYSTEM_METADATA = (
    "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "managedFields", "selfLink",
)  # fmt: skip


@dataclass(frozen=True)
class Writer:
    """Who writes, when (Unix seconds) and how. `warnings` gathers what the client is to be told beside the answer."""

    now: float
    manager: str = "unknown"
    subresource: str = ""
    is_dry_run: bool = False
    validation: str = "Warn"
    warnings: list[str] = field(default_factory=list)


class Store:
    """The objects, with their rules. `random` makes uids and the ends of generated names."""

    def __init__(self, shelf: Shelf, random: Random) -> None:
        self.shelf = shelf
        self._random = random

    def get(self, resource: Resource, key: Key) -> Json:
        """The object."""
        return events.shown(resource, self._existing(resource, key))

    def create(self, resource: Resource, namespace: str, body: Json, writer: Writer) -> Json:
        """Keep a new object."""
        if at(body, ("metadata", "resourceVersion")):
            raise internal("resourceVersion should not be set on objects to be created")
        item = self._new(resource, namespace, _declared(resource, body, writer), writer)
        owners = after_update({}, item, (), _owner(resource, writer, "Update"))
        return self._keep_new(resource, item, owners, writer)

    def replace(self, resource: Resource, key: Key, body: Json, writer: Writer) -> tuple[Json, bool]:
        """Put `body` in the object's place; also whether it is new (a PUT creates Leases and Events)."""
        if resource in _CREATED_BY_PUT and not self.shelf.find(resource.storage, key):
            return self.create(resource, key[0], _without_version(body), writer), True
        old = self._existing(resource, key)
        metadata = body.get("metadata") or {}
        if resource.needs_version and not metadata.get("resourceVersion"):
            cause = wrong("metadata.resourceVersion", 0, "must be specified for an update")
            raise invalid_object(resource, key[1], [cause])
        if (uid := metadata.get("uid")) not in (None, old["metadata"]["uid"]):
            found = old["metadata"]["uid"]
            at_place = f"Code: 4, Key: /registry/{resource.plural}/{'/'.join(key)}, ResourceVersion: 0"
            differs = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {found}"
            raise conflict(resource, key[1], f"StorageError: invalid object, {at_place}, AdditionalErrorMsg: {differs}")
        return self._change(resource, old, _declared(resource, body, writer), writer), False

    def patch(self, resource: Resource, key: Key, make: Callable[[Json], Json], writer: Writer) -> Json:
        """Keep what `make` does to the object as the client sees it."""
        old = self._existing(resource, key)
        return self._change(resource, old, _declared(resource, make(events.shown(resource, old)), writer), writer)

    def apply(self, resource: Resource, key: Key, config: Json, writer: Writer, *, force: bool) -> tuple[Json, bool]:
        """Server-side apply; also whether the object is new."""
        if unknown := schemas.undeclared(resource.kind, config):
            raise _untyped(resource, config, unknown)
        config = events.kept(resource, _without_other_half(resource, config, writer))
        me = _owner(resource, writer, "Apply")
        live = self.shelf.find(resource.storage, key)
        if live is None:
            _check_no_uid(resource, key[1], config)
            base = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": key[1]}}
            merged, owners = applied(base, config, (), me, force=force)
            return self._keep_new(resource, self._new(resource, key[0], merged, writer), owners, writer), True
        _check_version(resource, live, config)
        merged, owners = applied(live, config, self.shelf.owners(resource.storage, key), me, force=force)
        return self._keep(resource, live, _updated(resource, live, merged, writer), owners, writer), False

    def delete(self, resource: Resource, key: Key, options: Json, writer: Writer) -> Json:
        """Mark the object as going, and let it go if nothing holds it; the object or a Status."""
        old = self._existing(resource, key)
        check_preconditions(resource, old, options)
        going = marked(resource, old, options.get("gracePeriodSeconds"), writer.now)
        stays = going["metadata"].get("deletionTimestamp") and not is_gone(going)
        if not writer.is_dry_run:
            # A Pod's mark is seen by watches even when it goes at once.
            if going is not old:
                going = self.shelf.put(resource.storage, key, going, self.shelf.owners(resource.storage, key))
            if not stays:
                self.shelf.remove(resource.storage, key)
        if stays or resource.returns_deleted:
            return events.shown(resource, going)
        return success(resource, key[1], old["metadata"]["uid"])

    def finalize(self, key: Key, body: Json, writer: Writer) -> Json:
        """What a namespace's controller does at the end: take away the finalizer of its spec."""
        old = self._existing(NAMESPACES, key)
        owners = self.shelf.owners(NAMESPACES.storage, key)
        return self._keep(NAMESPACES, old, {**old, "spec": body.get("spec") or {}}, owners, writer)

    def _existing(self, resource: Resource, key: Key) -> Json:
        item = self.shelf.find(resource.storage, key)
        if item is None:
            raise not_found(resource, key[1])
        return item

    def _new(self, resource: Resource, namespace: str, body: Json, writer: Writer) -> Json:
        item = events.kept(resource, body)
        metadata = without(item.get("metadata") or {}, *_SYSTEM_METADATA, "resourceVersion")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + "".join(self._random.choices(_SUFFIX_ALPHABET, k=5))
        if resource.namespaced:
            self._check_namespace(resource, namespace, metadata.get("name", ""))
            metadata["namespace"] = namespace
        metadata["uid"] = str(UUID(int=self._random.getrandbits(128), version=4))
        metadata["creationTimestamp"] = stamp(writer.now)
        if resource.has_generation:
            metadata["generation"] = 1
        if resource is NAMESPACES:
            name = {"kubernetes.io/metadata.name": metadata.get("name", "")}
            metadata["labels"] = {**(metadata.get("labels") or {}), **name}
        item = validation.defaulted(resource, {**item, "metadata": metadata})
        validation.check(resource, item)
        return item

    def _check_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        found = self.shelf.find(NAMESPACES.storage, ("", namespace))
        if found is None:
            raise not_found(NAMESPACES, namespace)
        if found["metadata"].get("deletionTimestamp"):
            raise namespace_terminating(resource, name, namespace)

    def _keep_new(self, resource: Resource, item: Json, owners: Owners, writer: Writer) -> Json:
        key = (item["metadata"].get("namespace", ""), item["metadata"]["name"])
        if self.shelf.find(resource.storage, key):
            raise already_exists(resource, key[1])
        item = with_metadata(item, managedFields=[owner.json() for owner in owners])
        if not writer.is_dry_run:
            item = self.shelf.put(resource.storage, key, item, owners)
        return events.shown(resource, item)

    def _change(self, resource: Resource, old: Json, body: Json, writer: Writer) -> Json:
        body = events.kept(resource, body)
        _check_version(resource, old, body)
        new = _updated(resource, old, body, writer)
        key = (old["metadata"].get("namespace", ""), old["metadata"]["name"])
        owners = self.shelf.owners(resource.storage, key)
        return self._keep(
            resource, old, new, after_update(old, new, owners, _owner(resource, writer, "Update")), writer
        )

    def _keep(self, resource: Resource, old: Json, new: Json, owners: Owners, writer: Writer) -> Json:
        """Put `new` in the place of `old`, unless it says the same; let it go if it was only waiting for this."""
        key = (old["metadata"].get("namespace", ""), old["metadata"]["name"])
        if new == old and _fields(owners) == _fields(self.shelf.owners(resource.storage, key)):
            return events.shown(resource, old)
        new = with_metadata(new, managedFields=[owner.json() for owner in owners] or None)
        if writer.is_dry_run:
            return events.shown(resource, new)
        kept = self.shelf.put(resource.storage, key, new, owners)
        if is_gone(kept):
            self.shelf.remove(resource.storage, key)
        return events.shown(resource, kept)


def _fields(owners: Owners) -> set[object]:
    # When it was is no reason for a write.
    return {(owner.manager, owner.operation, owner.subresource, owner.paths) for owner in owners}


def _owner(resource: Resource, writer: Writer, operation: str) -> Owner:
    return Owner(writer.manager, operation, resource.api_version, writer.subresource, stamp(writer.now))


def _declared(resource: Resource, body: Json, writer: Writer) -> Json:
    """`body` without the fields that its schema does not have, which are told or refused."""
    unknown = [f'unknown field "{path}"' for path in schemas.undeclared(resource.kind, body)]
    if unknown and writer.validation == "Strict":
        what = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
        raise bad_request(f"{what}: strict decoding error: {', '.join(unknown)}")
    if writer.validation == "Warn":
        writer.warnings.extend(unknown)
    return schemas.pruned(resource.kind, body) if unknown else body


def _untyped(resource: Resource, config: Json, unknown: list[str]) -> StatusError:
    name = "/".join(config["metadata"].get(key, "") for key in ("namespace", "name"))
    what = f"{name}; {resource.api_version}, Kind={resource.kind}"
    told = "\n".join(f".{path}: field not declared in schema" for path in unknown)
    return internal(f"failed to create typed patch object ({what}): {told}")


def _check_no_uid(resource: Resource, name: str, config: Json) -> None:
    if uid := config["metadata"].get("uid"):
        raise conflict(
            resource, name, f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        )


def _without_version(body: Json) -> Json:
    return {**body, "metadata": without(body.get("metadata") or {}, "resourceVersion")}


def _check_version(resource: Resource, old: Json, body: Json) -> None:
    if at(body, ("metadata", "resourceVersion")) not in (None, "", old["metadata"]["resourceVersion"]):
        raise stale(resource, old["metadata"]["name"])


def _without_other_half(resource: Resource, body: Json, writer: Writer) -> Json:
    """What this endpoint takes of `body`: status alone through /status, everything else through the object."""
    if writer.subresource == "status":
        return {key: body[key] for key in ("apiVersion", "kind", "metadata", "status") if key in body}
    return without(body, "status") if resource.has_status else body


def _without_empty_maps(metadata: Json) -> Json:
    """The server keeps no map from which the last key went: a JSON patch's `test` sees nothing there."""
    return {key: value for key, value in metadata.items() if value or key not in ("annotations", "labels")}


def _updated(resource: Resource, old: Json, body: Json, writer: Writer) -> Json:
    """What `old` becomes when this endpoint is given `body`."""
    kept = {key: old["metadata"][key] for key in _SYSTEM_METADATA if key in old["metadata"]}
    identity = {key: old["metadata"].get(key) for key in ("name", "namespace", "uid", "resourceVersion")}
    metadata = _without_empty_maps(identity | without(body.get("metadata") or {}, *_SYSTEM_METADATA) | kept)
    half = _without_other_half(resource, body, writer)
    other = (
        without(old, *half)
        if writer.subresource
        else {key: old[key] for key in ("status",) if resource.has_status and key in old}
    )
    new = with_metadata({**half, **other, "metadata": metadata}, resourceVersion=old["metadata"]["resourceVersion"])
    validation.check_update(resource, old, new)
    validation.check(resource, new)
    if resource.has_generation and without(old, "metadata", "status") != without(new, "metadata", "status"):
        new = with_metadata(new, generation=old["metadata"]["generation"] + 1)
    return new
