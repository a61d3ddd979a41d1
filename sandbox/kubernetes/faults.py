"""What is to go wrong, as rules that somebody put there: pure, `server` does what they say.

A rule is JSON: `{"match": {"method": "PATCH", "path": "regex", "query": {"watch": "regex"}}, "times": 2, ACTION}` with
exactly one ACTION; without `times` it holds until it is taken away. `path` and the values of `query` have to match as a
whole, a `query` value of null asks for its absence. The actions:

    "latency": 0.5                              wait so many seconds first
    "status": {"code": 403, "reason": "Forbidden", "message": "…", "when": "before" | "after" the effect}
    "drop": "before" | "after"                  close the connection without an answer
    "hold": "before" | "after"                  wait until POST /_sandbox/release
    "watch": "cut" | "silent"                   end a stream now / leave it open and never say anything again
    "watch": "swallow" | "duplicate"            lose an event / tell it twice (`times` counts events)
    "watch": {"delay": 0.5}                     tell an event later
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.kubernetes.objects import Json
from sandbox.kubernetes.refusals import StatusError
from sandbox.kubernetes.requests import Request

_RULE_KEYS = {"match", "times"}
_MATCH_KEYS = {"method", "path", "query"}
_WHEN = ("before", "after")
_REASONS = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired",
    422: "Invalid", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout",
}  # fmt: skip


@dataclass(frozen=True)
class Latency:
    """Wait so many seconds before anything else."""

    seconds: float


@dataclass(frozen=True)
class Refuse:
    """Answer with this Status instead of the true answer, before or after the effect."""

    error: StatusError
    when: str


@dataclass(frozen=True)
class Drop:
    """Close the connection, before or after the effect."""

    when: str


@dataclass(frozen=True)
class Hold:
    """Wait for a release, before or after the effect."""

    when: str


@dataclass(frozen=True)
class Disturb:
    """Something happens to a stream: cut, silent, swallow, duplicate, delay."""

    how: str
    seconds: float = 0


Action = Latency | Refuse | Drop | Hold | Disturb


@dataclass
class Rule:
    """One fault; `left` counts down, None is for ever."""

    document: Json
    action: Action
    left: int | None

    def matches(self, request: Request) -> bool:
        wanted = self.document.get("match", {})
        return (
            wanted.get("method", request.method) == request.method
            and re.fullmatch(wanted.get("path", ".*"), request.path) is not None
            and all(_fits(pattern, request.query.get(key)) for key, pattern in wanted.get("query", {}).items())
        )


def _fits(pattern: str | None, value: str | None) -> bool:
    if pattern is None or value is None:
        return pattern is value
    return re.fullmatch(pattern, value) is not None


class Faults:
    """The rules in force, in order."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def replace(self, documents: Any) -> None:
        """Put these rules in the place of all others. Raises ValueError, and changes nothing, for what is no rule."""
        if not isinstance(documents, list):
            raise ValueError("a list of rules is expected")
        self._rules = [_rule(document) for document in documents]

    def report(self) -> list[Json]:
        """The rules in force; `times` is what is left of them."""
        return [rule.document if rule.left is None else {**rule.document, "times": rule.left} for rule in self._rules]

    def take(self, request: Request) -> list[Action]:
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
        return [rule for rule in self._rules if rule.matches(request)]

    def _used(self, rule: Rule) -> Action:
        if rule.left is not None:
            rule.left -= 1
            if not rule.left:
                self._rules.remove(rule)
        return rule.action


def _rule(document: Any) -> Rule:
    if not isinstance(document, dict):
        raise ValueError(f"no rule: {document!r}")
    actions = document.keys() - _RULE_KEYS
    times = document.get("times")
    if len(actions) != 1 or not actions <= _ACTIONS.keys():
        raise ValueError(f"a rule has exactly one of {', '.join(_ACTIONS)}: {document!r}")
    if times is not None and (not isinstance(times, int) or times < 1):
        raise ValueError(f"times: a positive number is expected, not {times!r}")
    _check_match(document.get("match", {}))
    name = actions.pop()
    return Rule(document, _ACTIONS[name](document[name]), times)


def _check_match(match: Any) -> None:
    if not isinstance(match, dict) or not match.keys() <= _MATCH_KEYS:
        raise ValueError(f"match: only {', '.join(sorted(_MATCH_KEYS))} are known")
    patterns = [match.get("path", ""), *(value for value in match.get("query", {}).values() if value is not None)]
    for pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise ValueError(f"match: {pattern!r} is no pattern") from error


def _seconds(value: Any) -> float:
    if not isinstance(value, (int, float)) or value < 0:
        raise ValueError(f"seconds are expected, not {value!r}")
    return value


def _when(value: Any) -> str:
    if value not in _WHEN:
        raise ValueError(f"before or after is expected, not {value!r}")
    return str(value)


def _refuse(value: Any) -> Refuse:
    code = value.get("code") if isinstance(value, dict) else None
    if not isinstance(code, int):
        raise ValueError(f"status: a code is expected, not {value!r}")
    reason = value.get("reason", _REASONS.get(code, ""))
    error = StatusError(code, reason, value.get("message", "a fault of the sandbox"), details=value.get("details", {}))
    return Refuse(error, _when(value.get("when", "before")))


def _disturb(value: Any) -> Disturb:
    if isinstance(value, dict) and value.keys() == {"delay"}:
        return Disturb("delay", _seconds(value["delay"]))
    if value not in ("cut", "silent", "swallow", "duplicate"):
        raise ValueError(f"watch: cut, silent, swallow, duplicate or a delay is expected, not {value!r}")
    return Disturb(value)


_ACTIONS: dict[str, Callable[[Any], Action]] = {
    "latency": lambda value: Latency(_seconds(value)),
    "status": _refuse,
    "drop": lambda value: Drop(_when(value)),
    "hold": lambda value: Hold(_when(value)),
    "watch": _disturb,
}
