"""What the API server says when it refuses: apimachinery's `Status` objects, in the words of kube-apiserver.

Raised anywhere below `api`, which turns it into the answer.
"""

from typing import Any, NamedTuple

from sandbox.kubernetes.objects import Json
from sandbox.kubernetes.resources import Resource


class NoSuchPathError(Exception):
    """Nothing has this path, or a kind of object that is not installed would have: the one refusal without a Status."""


class StatusError(Exception):
    """An answer that is no success; `body` is the Status object, `code` its HTTP status."""

    def __init__(
        self, code: int, reason: str, message: str, *, details: Json | None = None, metadata: Json | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.body: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": metadata or {},
            "status": "Failure",
            "message": message,
            **({"reason": reason} if reason else {}),
            **({} if details is None else {"details": details}),
            "code": code,
        }


class Cause(NamedTuple):
    """One field that is wrong."""

    reason: str
    field: str
    message: str

    def json(self) -> Json:
        return {"reason": self.reason, "message": self.message, "field": self.field}


def required(field: str, message: str = "") -> Cause:
    """A field that is missing."""
    return Cause("FieldValueRequired", field, "Required value" + (f": {message}" if message else ""))


def wrong(field: str, value: Any, message: str) -> Cause:
    """A field whose value cannot be."""
    shown = f'"{value}"' if isinstance(value, str) else value
    return Cause("FieldValueInvalid", field, f"Invalid value: {shown}: {message}")


def forbidden_field(field: str, message: str) -> Cause:
    """A field that may not be set, or not like this."""
    return Cause("FieldValueForbidden", field, f"Forbidden: {message}")


def _named(resource: Resource, name: str, **more: Any) -> Json:
    group = {"group": resource.group} if resource.group else {}
    return {"name": name, **group, "kind": resource.plural, **more}


def success(resource: Resource, name: str, uid: str) -> Json:
    """What a DELETE answers when the object is gone."""
    details = _named(resource, name, uid=uid)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def not_found(resource: Resource, name: str) -> StatusError:
    """404: no such object."""
    return StatusError(404, "NotFound", f'{resource.qualified} "{name}" not found', details=_named(resource, name))


def method_not_allowed() -> StatusError:
    """405."""
    message = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", message, details={})


def already_exists(resource: Resource, name: str) -> StatusError:
    """409: the name is taken."""
    message = f'{resource.qualified} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, details=_named(resource, name))


def conflict(resource: Resource, name: str, why: str) -> StatusError:
    """409: the object is not what the caller takes it for."""
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return StatusError(409, "Conflict", message, details=_named(resource, name))


def conflict_by_kind(resource: Resource, name: str, why: str) -> StatusError:
    """409: a precondition of a DELETE, which calls the object by its kind."""
    subject = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details = _named(resource, name) | {"kind": resource.kind}
    return StatusError(409, "Conflict", f'Operation cannot be fulfilled on {subject} "{name}": {why}', details=details)


def stale(resource: Resource, name: str) -> StatusError:
    """409: the resourceVersion is not the object's."""
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(resource, name, why)


def apply_conflict(causes: list[Cause], message: str) -> StatusError:
    """409: fields that somebody else applied."""
    return StatusError(409, "Conflict", message, details={"causes": [cause.json() for cause in causes]})


def invalid_object(resource: Resource, name: str, causes: list[Cause]) -> StatusError:
    """422: fields of an object that are wrong."""
    # Events of both groups are checked as those of the first.
    return invalid(resource.kind, "" if resource.kind == "Event" else resource.group, name, causes)


def invalid(kind: str, group: str, name: str, causes: list[Cause]) -> StatusError:
    """422: fields of an object, or options of a request, that are wrong."""
    told = [f"{cause.field}: {cause.message}" for cause in causes]
    text = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    subject = f"{kind}.{group}" if group else kind
    named = {"name": name} if name else {}
    details = {**named, **({"group": group} if group else {}), "kind": kind, "causes": [c.json() for c in causes]}
    return StatusError(422, "Invalid", f'{subject} "{name}" is invalid: {text}', details=details)


def patch_rejected() -> StatusError:
    """What a JSON patch gets that cannot be applied or whose test fails; nothing tells one from the other."""
    return StatusError(422, "Invalid", "the server rejected our request due to an error in our request", details={})


def bad_request(message: str) -> StatusError:
    """400."""
    return StatusError(400, "BadRequest", message)


def internal(message: str) -> StatusError:
    """500, as the server says it of what it has no name for."""
    return StatusError(500, "", message)


def unsupported_media_type() -> StatusError:
    """415: a body in a format that this verb does not take."""
    return StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})


def not_acceptable(message: str) -> StatusError:
    """406: a representation that this answer cannot have."""
    return StatusError(406, "NotAcceptable", message)


def unauthorized() -> StatusError:
    """401."""
    return StatusError(401, "Unauthorized", "Unauthorized")


def namespace_terminating(resource: Resource, name: str, namespace: str) -> StatusError:
    """403: nothing new in a namespace that goes."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    cause = {"reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated"}
    details = _named(resource, name, causes=[{**cause, "field": "metadata.namespace"}])
    return StatusError(403, "Forbidden", f'{resource.qualified} "{name}" is forbidden: {why}', details=details)


def expired(message: str, *, metadata: Json | None = None) -> StatusError:
    """410: a resourceVersion or a continue token from before the history begins."""
    return StatusError(410, "Expired", message, metadata=metadata)


def too_large_version(asked: int, current: int) -> StatusError:
    """504: a resourceVersion that is still to come."""
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return StatusError(504, "Timeout", message, details={"causes": causes, "retryAfterSeconds": 1})
