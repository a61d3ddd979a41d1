"""How `sweep --force` asks the leader: one annotation on the Lease holds the question, another the answer.

`sweep_command` writes a request; the leader's elector shows it to `app`, which runs the sweep and writes the answer.
Both are small JSON texts; what cannot be read is no request (a hand-edited Lease must not stop a leader).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from fsm.session import PREFIX

REQUEST = PREFIX + "sweep-request"
RESULT = PREFIX + "sweep-result"


@dataclass(frozen=True)
class Request:
    """A person asks for a forced sweep; `id` tells one request from the next."""

    id: str


@dataclass(frozen=True)
class Result:
    """What the leader made of the request with this id; `error` is empty when it was carried out."""

    id: str
    released: tuple[str, ...] = ()
    error: str = ""


def render(message: Request | Result) -> str:
    """The annotation's text."""
    return json.dumps(asdict(message))


def pending(annotations: Mapping[str, str]) -> Request | None:
    """The request that has no answer yet."""
    request = _parse(annotations.get(REQUEST))
    if request is None or answered(annotations, str(request["id"])):
        return None
    return Request(str(request["id"]))


def answered(annotations: Mapping[str, str], request_id: str) -> Result | None:
    """The answer to the request with this id."""
    result = _parse(annotations.get(RESULT))
    if result is None or result["id"] != request_id:
        return None
    released = result.get("released")
    sessions = tuple(str(entry) for entry in released) if isinstance(released, list) else ()
    return Result(request_id, sessions, str(result.get("error") or ""))


def _parse(text: str | None) -> dict[str, object] | None:
    try:
        message = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) and isinstance(message.get("id"), str) else None
