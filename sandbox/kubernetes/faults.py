"""Faults of Kubernetes beside those that every server of the sandbox knows (`sandbox.faults`): pure, `server` acts.

"status": {"code": 403, "reason": "Forbidden", "message": "…", "details": {}, "when": "before" | "after"}
answer this Status instead of the truth, before or after the effect
"watch": "cut" | "silent"            end a stream now / leave it open and never say anything again
"watch": "swallow" | "duplicate"     lose an event / tell it twice (`times` counts events)
"watch": {"delay": 0.5}              tell an event later
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox import faults
from sandbox.faults import Parse, Rule, seconds, when
from sandbox.kubernetes.refusals import StatusError
from sandbox.kubernetes.requests import Request

_DISTURBANCES = ("cut", "silent", "swallow", "duplicate")
_REASONS = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired",
    422: "Invalid", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout",
}  # fmt: skip


@dataclass(frozen=True)
class Refuse:
    """Answer with this Status instead of the true answer, before or after the effect."""

    error: StatusError
    when: str


@dataclass(frozen=True)
class Disturb:
    """Something happens to a stream: cut, silent, swallow, duplicate, delay."""

    how: str
    seconds: float = 0


class Faults(faults.Faults):
    """The rules in force; those about streams wait until a stream asks for them."""

    def __init__(self) -> None:
        super().__init__(_ACTIONS)

    def meet(self, request: Request) -> list[object]:
        """What is to happen to this request; each rule is used once."""
        return [self._used(rule) for rule in self._matching(request) if not isinstance(rule.action, Disturb)]

    def disturb(self, request: Request, *how: str) -> Disturb | None:
        """The first of these disturbances that is meant for this stream, used once."""
        for rule in self._matching(request):
            if isinstance(rule.action, Disturb) and rule.action.how in how:
                self._used(rule)
                return rule.action
        return None

    def _matching(self, request: Request) -> list[Rule]:
        return [rule for rule in self._rules if rule.matches(request.method, request.path, request.query)]


def _refuse(value: Any) -> Refuse:
    code = value.get("code") if isinstance(value, dict) else None
    if not isinstance(code, int):
        raise ValueError(f"status: a code is expected, not {value!r}")
    reason = value.get("reason", _REASONS.get(code, ""))
    error = StatusError(code, reason, value.get("message", "a fault of the sandbox"), details=value.get("details", {}))
    return Refuse(error, when(value.get("when", "before")))


def _disturb(value: Any) -> Disturb:
    if isinstance(value, dict) and value.keys() == {"delay"}:
        return Disturb("delay", seconds(value["delay"]))
    if value not in _DISTURBANCES:
        raise ValueError(f"watch: {', '.join(_DISTURBANCES)} or a delay is expected, not {value!r}")
    return Disturb(value)


_ACTIONS: Mapping[str, Parse] = {"status": _refuse, "watch": _disturb}
