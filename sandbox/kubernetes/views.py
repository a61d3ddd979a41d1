"""In which shape a client gets its objects: whole, as metadata alone, or as the rows of a table.

`api` asks with the request's Accept header; a `Representation` is used for single objects, lists and watch events.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sandbox.kubernetes import events, tables
from sandbox.kubernetes.objects import Json, without
from sandbox.kubernetes.refusals import not_acceptable
from sandbox.kubernetes.resources import Resource

META = "meta.k8s.io"
_ACCEPTED = (
    "only the following media types are accepted: application/json, application/json;as=Table, "
    "application/json;as=PartialObjectMetadata[List]"
)
_ANY_JSON = ("application/json", "application/*", "*/*", "application/yaml")


@dataclass(frozen=True)
class Representation:
    """How one request wants the objects of `resource`; `one` shows an object that has been stored."""

    resource: Resource
    as_kind: str
    now: float

    def one(self, item: Json) -> Json:
        """A single object or the object of a watch event."""
        return self._shapes()[self.as_kind](item)

    def many(self, items: Sequence[Json], metadata: Json) -> Json:
        """A list with the list's own metadata."""
        if self.as_kind == "Table":
            return tables.table(self.resource, items, metadata, self.now)
        if self.as_kind == "PartialObjectMetadataList":
            kind = {"kind": self.as_kind, "apiVersion": f"{META}/v1"}
            return kind | {"metadata": metadata, "items": [_partial(item) for item in items]}
        kind = {"kind": f"{self.resource.kind}List", "apiVersion": self.resource.api_version}
        return kind | {"metadata": metadata, "items": [self._member(item) for item in items]}

    def bookmark(self) -> Json:
        """The apiVersion and kind of what a watch sends."""
        if self.as_kind in ("Table", "PartialObjectMetadata"):
            return {"kind": self.as_kind, "apiVersion": f"{META}/v1"}
        return {"kind": self.resource.kind, "apiVersion": self.resource.api_version}

    def _shapes(self) -> dict[str, Callable[[Json], Json]]:
        return {
            "": lambda item: events.shown(self.resource, item),
            "PartialObjectMetadata": _partial,
            "Table": lambda item: tables.table(self.resource, [item], {}, self.now),
        }

    def _member(self, item: Json) -> Json:
        # Members of a built-in list go without their kind, those of a custom resource say it.
        shown = events.shown(self.resource, item)
        return shown if self.resource.is_custom else without(shown, "kind", "apiVersion")


def _partial(item: Json) -> Json:
    return {"kind": "PartialObjectMetadata", "apiVersion": f"{META}/v1", "metadata": item["metadata"]}


def representation(resource: Resource, accept: str, now: float, *, is_list: bool) -> Representation:
    """The first shape of the Accept header that this answer can have. Raises StatusError (406)."""
    fitting = ("", "Table", "PartialObjectMetadataList" if is_list else "PartialObjectMetadata")
    for alternative in accept.split(",") if accept else ["*/*"]:
        media_type, *parameters = (part.strip() for part in alternative.split(";"))
        wanted = dict(parameter.partition("=")[::2] for parameter in parameters)
        as_kind = wanted.get("as", "")
        if media_type in _ANY_JSON and as_kind in fitting and (not as_kind or wanted.get("g") == META):
            return Representation(resource, as_kind, now)
    if "as=PartialObjectMetadata" not in accept:
        raise not_acceptable(_ACCEPTED)
    list_suffix, negation = ("", "") if is_list else ("List", "not ")
    raise not_acceptable(
        f"you requested PartialObjectMetadata{list_suffix}, but the requested object is {negation}a list"
    )
