"""Faults of Cloudflare beside those that every server of the sandbox knows (`sandbox.faults`): pure, `shell` acts.

"status": {"code": 502, "when": "after", "error": 10000, "message": "…", "retry_after": 5}
                         answer this instead of the truth, before or after the effect
"late": 3.0              cut the connection at once; the effect comes so many seconds later all the same
"stale": 3.0             the answer as of now, delivered so many seconds later
"intrude": {document}    somebody else writes this tunnel document just before the request has its effect
"insert": [rules]        somebody else puts these rules in front of the tunnel's others just before it
"truncate": 5            a list tells only so many of its records, and counts them all
"cut": 100               the connection ends after so many bytes of the answer's body
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.cloudflare.envelope import Json, RefusedError
from sandbox.cloudflare.validation import check_ingress
from sandbox.faults import Faults, Parse, seconds, when

_CATCH_ALL: Json = {"service": "http_status:404"}


@dataclass(frozen=True)
class Refuse:
    """Answer with this refusal instead of the true answer, before or after the effect."""

    error: RefusedError
    when: str


@dataclass(frozen=True)
class Late:
    """The effect comes late, when nobody waits for an answer any more."""

    seconds: float


@dataclass(frozen=True)
class Stale:
    """The answer comes late."""

    seconds: float


@dataclass(frozen=True)
class Intrude:
    """Another writer is faster; `edit` makes its document of the present one (None: never configured)."""

    edit: Callable[[Json | None], Json]


@dataclass(frozen=True)
class Truncate:
    """A list is cut short."""

    count: int


@dataclass(frozen=True)
class Cut:
    """An answer breaks off."""

    size: int  # bytes


def new_faults() -> Faults:
    """No faults yet."""
    return Faults(_ACTIONS)


def _refuse(value: Any) -> Refuse:
    if not isinstance(value, dict) or not value.keys() <= {"code", "when", "error", "message", "retry_after"}:
        raise ValueError(f"status: code, when, error, message and retry_after are known, not {value!r}")
    code, message = _number(value.get("code")), value.get("message", "a fault of the sandbox")
    if not 400 <= code <= 599:
        raise ValueError(f"status: a code from 400 to 599 is expected, not {code}")
    error = RefusedError(code, _number(value.get("error", code)), str(message))
    if "retry_after" in value:
        error.headers["Retry-After"] = f"{seconds(value['retry_after']):g}"
    return Refuse(error, when(value.get("when", "before")))


def _intrude(document: Any) -> Intrude:
    _check(document)
    return Intrude(lambda _: dict(document))


def _insert(rules: Any) -> Intrude:
    """Rules that are there already are moved to the front, so that a rule for ever does not fill the document."""

    def edit(config: Json | None) -> Json:
        others = [rule for rule in (config or {}).get("ingress", [_CATCH_ALL]) if rule not in rules]
        return {**(config or {}), "ingress": [*rules, *others]}

    if not isinstance(rules, list):
        raise ValueError("insert: a list of rules is expected")
    _check({"ingress": [*rules, {"service": "http_status:503"}]})
    return Intrude(edit)


def _check(document: Any) -> None:
    try:
        check_ingress(document)
    except RefusedError as error:
        raise ValueError(str(error)) from error


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"a number is expected, not {value!r}")
    return value


_ACTIONS: Mapping[str, Parse] = {
    "status": _refuse,
    "late": lambda value: Late(seconds(value)),
    "stale": lambda value: Stale(seconds(value)),
    "intrude": _intrude,
    "insert": _insert,
    "truncate": lambda value: Truncate(_number(value)),
    "cut": lambda value: Cut(_number(value)),
}
