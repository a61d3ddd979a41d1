"""A request taken apart: its target, its body, who writes; and the two kinds of answer.

Made by `server` (or a simulation) for `api`, which works with what the functions here read out of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from sandbox.kubernetes.objects import Json
from sandbox.kubernetes.paging import number
from sandbox.kubernetes.refusals import NoSuchPathError, bad_request, unsupported_media_type
from sandbox.kubernetes.resources import BY_PATH, NAMESPACES, Resource
from sandbox.kubernetes.store import Writer
from sandbox.kubernetes.watching import Watch

JSON, YAML = "application/json", "application/yaml"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Request:
    """An HTTP request; the names of `headers` are in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def content_type(self) -> str:
        """The media type of the body, without parameters."""
        return self.headers.get("content-type", JSON).partition(";")[0].strip()

    @property
    def is_watch(self) -> bool:
        """Whether the answer is a stream."""
        return self.method == "GET" and flag(self.query, "watch")


@dataclass(frozen=True)
class Response:
    """An answer that is complete: a JSON document or a text."""

    status: int
    body: Json | str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stream:
    """An answer that goes on: lines of watch events for `timeout` seconds (0: until the client leaves)."""

    watch: Watch
    timeout: float


@dataclass(frozen=True)
class Target:
    """What a path is about; `name` is empty for a collection."""

    resource: Resource
    namespace: str
    name: str
    subresource: str

    @property
    def key(self) -> tuple[str, str]:
        return (self.namespace, self.name)


def read_target(path: str) -> Target:
    """What `path` is about. Raises NoSuchPathError."""
    root, *rest = path.strip("/").split("/")
    group = rest.pop(0) if root == "apis" and rest else ""
    if root not in ("api", "apis") or len(rest) < 2:
        raise NoSuchPathError
    version, *rest = rest
    namespace = ""
    if rest[0] == NAMESPACES.plural and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource, *more = [*rest, "", ""]
    resource = BY_PATH.get((group, version, plural))
    if resource is None or subresource not in ("", *resource.subresources) or any(more):
        raise NoSuchPathError
    return Target(resource, namespace, name, subresource)


def flag(query: Mapping[str, str], key: str) -> bool:
    """Whether the query says yes."""
    return query.get(key, "").lower() in ("1", "true")


def read_writer(about: Target, request: Request, now: float) -> Writer:
    """Who writes: the field manager, or else the program that asks."""
    agent = request.headers.get("user-agent", "").partition("/")[0]
    return Writer(
        now,
        request.query.get("fieldManager") or agent or "unknown",
        about.subresource,
        request.query.get("dryRun") == "All",
        request.query.get("fieldValidation") or "Warn",
    )


def read_body(request: Request) -> Any:
    """The JSON in the body. Raises StatusError (400)."""
    try:
        return json.loads(request.body)
    except ValueError as error:
        raise bad_request(f"the body of the request is no JSON: {error}") from error


def read_object(about: Target, request: Request) -> Json:
    """The object in the body, with its kind and a metadata of its own. Raises StatusError (400, 415)."""
    if request.content_type not in (JSON, YAML, APPLY):
        raise unsupported_media_type()
    body = read_body(request) if request.body.lstrip().startswith(b"{") else yaml.safe_load(request.body)
    return checked(about, body)


def checked(about: Target, body: Any) -> Json:
    """`body`, if it is an object of the target's kind and namespace. Raises StatusError (400)."""
    resource = about.resource
    identity = {"kind": resource.kind, "apiVersion": resource.api_version}
    if not isinstance(body, dict) or not isinstance(body.get("metadata", {}), dict):
        raise bad_request(f"the object provided is unrecognized (must be of type {resource.kind})")
    if any(body.get(key, value) != value for key, value in identity.items()):
        found = f'{body.get("kind")} in version "{body.get("apiVersion")}"'
        raise bad_request(f"{found} cannot be handled as a {resource.kind}")
    if body.get("metadata", {}).get("namespace") not in (None, "", about.namespace):
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if about.name and body.get("metadata", {}).get("name", about.name) != about.name:
        name = body["metadata"]["name"]
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({about.name})")
    return {**identity, "metadata": {}, **body}


def read_delete_options(request: Request) -> Json:
    """The DeleteOptions in body or query. Raises StatusError (400)."""
    options: Json = read_body(request) if request.body else {}
    if "gracePeriodSeconds" in request.query:
        options["gracePeriodSeconds"] = number(request.query, "gracePeriodSeconds")
    return options
