"""The structural schema of IngressRoute, as Traefik's own CustomResourceDefinition has it, and its check.

Called by `store` for what a client wrote: fields that are not declared are told (strict) or pruned, as a real API
server does; wrong types, enums and missing members are 422. Kinds without a schema here keep whatever they are given.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.kubernetes.objects import Json
from sandbox.kubernetes.refusals import Cause, required

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "int-or-string": (int, str),
}


@dataclass(frozen=True)
class Schema:
    """One node; `items` of an array, `members` and `required` of an object, `is_open` keeps unknown members."""

    type: str
    members: dict[str, "Schema"] = field(default_factory=dict)
    items: "Schema | None" = None
    required: tuple[str, ...] = ()
    enum: tuple[str, ...] = ()
    is_open: bool = False


_STRING, _INTEGER, _BOOLEAN = Schema("string"), Schema("integer"), Schema("boolean")
_PORT = Schema("int-or-string")
_OPEN = Schema("object", is_open=True)


def _map(required: tuple[str, ...] = (), **members: Schema) -> Schema:
    return Schema("object", members=members, required=required)


def _list(items: Schema) -> Schema:
    return Schema("array", items=items)


_REFERENCE = _map(("name",), name=_STRING, namespace=_STRING)
_SERVICE = _map(
    ("name",),
    name=_STRING,
    namespace=_STRING,
    kind=Schema("string", enum=("Service", "TraefikService")),
    port=_PORT,
    scheme=_STRING,
    strategy=_STRING,
    weight=_INTEGER,
    passHostHeader=_BOOLEAN,
    nativeLB=_BOOLEAN,
    nodePortLB=_BOOLEAN,
    serversTransport=_STRING,
    sticky=_OPEN,
    responseForwarding=_OPEN,
    healthCheck=_OPEN,
    passiveHealthCheck=_OPEN,
    middlewares=_list(_REFERENCE),
)
_ROUTE = _map(
    ("match",),
    match=_STRING,
    kind=Schema("string", enum=("Rule",)),
    priority=_INTEGER,
    syntax=_STRING,
    services=_list(_SERVICE),
    middlewares=_list(_REFERENCE),
    observability=_OPEN,
)
_TLS = _map(
    secretName=_STRING,
    certResolver=_STRING,
    options=_REFERENCE,
    store=_REFERENCE,
    domains=_list(_map(main=_STRING, sans=_list(_STRING))),
)
_INGRESS_ROUTE = _map(
    ("spec",),
    apiVersion=_STRING,
    kind=_STRING,
    metadata=_OPEN,
    spec=_map(("routes",), routes=_list(_ROUTE), entryPoints=_list(_STRING), tls=_TLS, parentRefs=_list(_REFERENCE)),
)
SCHEMAS = {"IngressRoute": _INGRESS_ROUTE}


def undeclared(kind: str, item: Json) -> list[str]:
    """The paths of fields that the schema of `kind` does not have."""
    return list(_undeclared(SCHEMAS.get(kind, _OPEN), "", item))


def _undeclared(schema: Schema, path: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict) and not schema.is_open:
        for key, member in value.items():
            here = f"{path}.{key}" if path else key
            if key not in schema.members:
                yield here
            else:
                yield from _undeclared(schema.members[key], here, member)
    elif isinstance(value, list) and schema.items:
        for index, member in enumerate(value):
            yield from _undeclared(schema.items, f"{path}[{index}]", member)


def pruned(kind: str, item: Json) -> Json:
    """`item` without its undeclared fields."""
    kept: Json = _pruned(SCHEMAS.get(kind, _OPEN), item)
    return kept


def _pruned(schema: Schema, value: Any) -> Any:
    if isinstance(value, dict) and not schema.is_open:
        return {key: _pruned(schema.members[key], member) for key, member in value.items() if key in schema.members}
    if isinstance(value, list) and schema.items:
        return [_pruned(schema.items, member) for member in value]
    return value


def mistakes(kind: str, item: Json) -> list[Cause]:
    """What the schema of `kind` objects to."""
    return list(_mistakes(SCHEMAS.get(kind, _OPEN), "", item))


def _has_type(schema: Schema, value: Any) -> bool:
    # Python takes true for a number.
    return isinstance(value, _TYPES[schema.type]) and isinstance(value, bool) is (schema.type == "boolean")


def _mistakes(schema: Schema, path: str, value: Any) -> Iterator[Cause]:
    if not _has_type(schema, value):
        yield _wrong_type(schema, path, value)
    elif schema.enum and value not in schema.enum:
        supported = ", ".join(f'"{choice}"' for choice in schema.enum)
        yield Cause("FieldValueNotSupported", path, f'Unsupported value: "{value}": supported values: {supported}')
    elif schema.items:
        for index, member in enumerate(value):
            yield from _mistakes(schema.items, f"{path}[{index}]", member)
    elif schema.members:
        yield from _member_mistakes(schema, path, value)


def _member_mistakes(schema: Schema, path: str, value: Json) -> Iterator[Cause]:
    prefix = f"{path}." if path else ""
    yield from (required(prefix + key) for key in schema.required if key not in value)
    for key, member in value.items():
        if key in schema.members:
            yield from _mistakes(schema.members[key], prefix + key, member)


def _wrong_type(schema: Schema, path: str, value: Any) -> Cause:
    found = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
    name = found.get(type(value), "null")
    return Cause(
        "FieldValueTypeInvalid",
        path,
        f'Invalid value: "{name}": {path} in body must be of type {schema.type}: "{name}"',
    )
