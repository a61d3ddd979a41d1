"""Faults of Cloudflare beside those that every server of the sandbox knows (`sandbox.faults`): pure, `server` acts.

"status": {"code": 502, "when": "after", "error": 10000, "message": "…", "retry_after": 5}
answer this instead of the truth, before or after the effect
"late": 3.0              no answer; the effect comes so many seconds later, whether or not the client still waits
"stale": 3.0             the answer as of now, delivered so many seconds later
"intrude": {document}    somebody else writes this tunnel document just before the request has its effect
"truncate": 5            a list tells only so many of its records, and counts them all
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.cloudflare.envelope import Json, RefusedError
from sandbox.faults import Faults, Parse, seconds, when


@dataclass(frozen=True)
class Refuse:
    """Answer with this refusal instead of the true answer, before or after the effect."""

    error: RefusedError
    when: str


@dataclass(frozen=True)
class Late:
    """The effect comes late and without an answer."""

    seconds: float


@dataclass(frozen=True)
class Stale:
    """The answer comes late."""

    seconds: float


@dataclass(frozen=True)
class Intrude:
    """Another writer is faster."""

    config: Json


@dataclass(frozen=True)
class Truncate:
    """A list is cut short."""

    count: int


def new_faults() -> Faults:
    """No faults yet."""
    return Faults(_ACTIONS)


def _refuse(value: Any) -> Refuse:
    code = value.get("code") if isinstance(value, dict) else None
    if not isinstance(code, int):
        raise ValueError(f"status: a code is expected, not {value!r}")
    error = RefusedError(code, value.get("error", code), value.get("message", "a fault of the sandbox"))
    if "retry_after" in value:
        error.headers["Retry-After"] = str(value["retry_after"])
    return Refuse(error, when(value.get("when", "before")))


def _intrude(value: Any) -> Intrude:
    if not isinstance(value, dict):
        raise ValueError("intrude: a tunnel document is expected")
    return Intrude(value)


def _truncate(value: Any) -> Truncate:
    if not isinstance(value, int) or value < 0:
        raise ValueError("truncate: a number of records is expected")
    return Truncate(value)


_ACTIONS: Mapping[str, Parse] = {
    "status": _refuse,
    "late": lambda value: Late(seconds(value)),
    "stale": lambda value: Stale(seconds(value)),
    "intrude": _intrude,
    "truncate": _truncate,
}
