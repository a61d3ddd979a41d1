"""API answers and failed calls -> `fsm.errors`, by one table. `k8s.client` calls it; nothing else translates.

    SessionError
    + TransientError     429, 5xx, no answer
    + PermanentError     401, 403
      + RejectedError    400, 405, 406, 413, 415, 422: the same request fails again; a watch may ask in an older way
    + SharedError        404 of the kind of the routes: the same for every session
    + StaleError         409, and the 422 of a failed `test` in a JSON patch
      + ExpiredError     410: the resourceVersion or the page is too old, list again
    + GoneError          404 of an object

A 404 that does not name an object means that the kind is not installed, which a person has to mend. Texts hold no
ids, addresses or times; the API's own message is shown only where it cannot quote a Pod's annotations.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from fsm.errors import GoneError, PermanentError, SessionError, SharedError, StaleError, TransientError

JSON_PATCH = "application/json-patch+json"

_MESSAGE_LIMIT = 300  # characters of the API's own message
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
# The authorizer's words; a policy's may hold "cannot", too, and are worth more than a remedy of ours.
_DENIED = re.compile(r"\bcannot [a-z]+ resource\b")
# Server-side apply answers a field that the CRD does not know with a 500, which no repetition mends.
_UNDECLARED = "field not declared in schema"


class RejectedError(PermanentError):
    """The server understood the request and refuses its content."""


class ExpiredError(StaleError):
    """The resourceVersion or continue token is too old (or newer than the server): list again."""


@dataclass(frozen=True)
class Answer:
    """A status that is no success, and what was asked. `body` is the Status object, empty when there was none."""

    method: str
    path: str
    status: int
    content_type: str | None = None  # of the request
    retry_after: float | None = None  # seconds
    body: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def details(self) -> Mapping[str, Any]:
        return details_of(self.body)

    @property
    def causes(self) -> list[Mapping[str, Any]]:
        causes = self.details.get("causes")
        return [cause for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []

    @property
    def message(self) -> str:
        return str(self.body.get("message") or "")


def details_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The details of a Status; none in what something else says in the API server's place."""
    details = body.get("details")
    return details if isinstance(details, dict) else {}


def of_answer(answer: Answer) -> SessionError:
    """The error that this answer means."""
    if _UNDECLARED in answer.message:
        return _rejected(answer)
    return _TABLE.get(answer.status, _unavailable)(answer)


def of_status(status: Mapping[str, Any], path: str) -> SessionError:
    """The error that an ERROR event in a watch of `path` means; its object is a Status."""
    code = status.get("code")
    return of_answer(Answer("GET", path, code if isinstance(code, int) else 500, body=status))


def of_failure(error: Exception) -> TransientError:
    """The error that a call without a (readable) answer means."""
    return TransientError("KubernetesUnavailable", next(text for kind, text in _FAILURES if isinstance(error, kind)))


def json_object(content: bytes) -> dict[str, Any] | None:
    """The JSON object in `content`; None when it is something else."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _unauthorized(_: Answer) -> SessionError:
    remedy = "check that the operator's ServiceAccount token or kubeconfig is valid"
    return PermanentError("KubernetesUnauthorized", "the API server does not accept the credentials", remedy)


def _forbidden(answer: Answer) -> SessionError:
    verb, resource, namespace = _asked(answer)
    if any(cause.get("reason") == "NamespaceTerminating" for cause in answer.causes):
        remedy = "wait until it is gone and create it again, if it is needed"
        return PermanentError("NamespaceTerminating", f"namespace {namespace} is being deleted", remedy)
    # Admission (quota, policy, webhook) refuses with its own words.
    if answer.message and not _DENIED.search(answer.message):
        return _rejected(answer)
    remedy = f"grant {verb} on {resource} in namespace {namespace} to the operator's ServiceAccount (Role in deploy/)"
    return PermanentError("KubernetesForbidden", f"the operator may not {verb} {resource}", remedy)


def _missing(answer: Answer) -> SessionError:
    _, resource, namespace = _asked(answer)
    if answer.details.get("kind") == "namespaces":
        return PermanentError(
            "NamespaceMissing", f"namespace {namespace} does not exist", "create it, or correct the setting"
        )
    if answer.details.get("name"):
        return GoneError("ObjectGone", f"the {_singular(resource)} does not exist")
    if "traefik.io" in resource:
        remedy = "install Traefik's CRDs (traefik.io/v1alpha1, Traefik 2.10 or newer)"
        return SharedError("RouteKindMissing", "the cluster has no IngressRoute", remedy)
    return PermanentError(
        "KindMissing", f"the API server does not know {resource}", "use a supported Kubernetes version"
    )


def _conflict(answer: Answer) -> SessionError:
    return StaleError("ObjectChanged", f"the {_singular(_asked(answer)[1])} was changed by somebody else")


def _expired(_: Answer) -> SessionError:
    return ExpiredError("VersionExpired", "the API server does not remember this resourceVersion")


def _rejected(answer: Answer) -> SessionError:
    _, resource, _ = _asked(answer)
    # A failed `test` and a patch that cannot be applied get the same 422 without a cause: read again and decide.
    if answer.content_type == JSON_PATCH and answer.status == 422 and not answer.causes:
        return _conflict(answer)
    reason = "RouteRejected" if "traefik.io" in resource else "KubernetesRejected"
    text = f"the API server refuses the {_singular(resource)}: {_explanation(answer)}"
    return RejectedError(reason, text, "see what the message names: a schema, a policy, a quota or a webhook")


def _unavailable(answer: Answer) -> SessionError:
    text = f"the API server answered {answer.status}"
    return TransientError("KubernetesUnavailable", text, retry_after=answer.retry_after)


def _throttled(answer: Answer) -> SessionError:
    text = "the API server asks for fewer requests"
    return TransientError("KubernetesThrottled", text, retry_after=answer.retry_after)


def _explanation(answer: Answer) -> str:
    # A message about a Pod may quote its annotations, and other people's are secrets: only names of fields then.
    if answer.message and "pods" not in _asked(answer)[1]:
        return answer.message[:_MESSAGE_LIMIT]
    named = (f"{cause.get('field')} {cause.get('reason')}" for cause in answer.causes)
    return ", ".join(named) or f"status {answer.status}"


def _asked(answer: Answer) -> tuple[str, str, str]:
    """Verb, resource (with group and subresource) and namespace of a request, as a Role spells them."""
    parts = answer.path.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else ("." + parts[1], parts[3:])
    namespace, resource, name, *sub = [*rest[1:], "", "", ""]
    verb = _VERBS.get(answer.method) or ("get" if name else "list and watch")
    return verb, f"{resource}{group}" + "".join(f"/{part}" for part in sub if part), namespace


def _singular(resource: str) -> str:
    return resource.partition(".")[0].partition("/")[0].removesuffix("s")


_TABLE: Mapping[int, Callable[[Answer], SessionError]] = {
    400: _rejected,
    401: _unauthorized,
    403: _forbidden,
    404: _missing,
    405: _rejected,
    406: _rejected,
    409: _conflict,
    410: _expired,
    413: _rejected,
    415: _rejected,
    422: _rejected,
    429: _throttled,
}

# First match wins; the last line takes everything.
_FAILURES: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "the API server did not answer in time"),
    (aiohttp.ClientSSLError, "no trusted TLS connection to the API server"),
    (aiohttp.ClientPayloadError, "the API server ended its answer early"),
    (aiohttp.ClientError, "the API server cannot be reached"),
    (OSError, "the API server cannot be reached, or the ServiceAccount's files cannot be read"),
    (Exception, "the API server's answer cannot be read"),
)
