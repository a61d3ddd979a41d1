"""What is to go wrong, as rules that somebody put there: pure; a server does what they say.

A rule is JSON: `{"match": {"method": "PUT", "path": "regex", "query": {"page": "regex"}}, "times": 2, ACTION}` with
exactly one ACTION; without `times` it holds until it is taken away. `path` and the values of `query` have to match as a
whole, a `query` value of null asks for its absence. Every server knows these actions, and adds its own:

    "latency": 0.5                              wait so many seconds first
    "drop": "before" | "after"                  close the connection without an answer
    "hold": "before" | "after"                  wait until POST /_sandbox/release
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
Parse = Callable[[Any], object]

_RULE_KEYS = {"match", "times"}
_MATCH_KEYS = {"method", "path", "query"}


@dataclass(frozen=True)
class Latency:
    """Wait so many seconds before anything else."""

    seconds: float


@dataclass(frozen=True)
class Drop:
    """Close the connection, before or after the effect."""

    when: str


@dataclass(frozen=True)
class Hold:
    """Wait for a release, before or after the effect."""

    when: str


@dataclass
class Rule:
    """One fault; `left` counts down, None is for ever."""

    document: Json
    action: object
    left: int | None

    def matches(self, method: str, path: str, query: Mapping[str, str]) -> bool:
        wanted = self.document.get("match", {})
        return (
            wanted.get("method", method) == method
            and re.fullmatch(wanted.get("path", ".*"), path) is not None
            and all(_fits(pattern, query.get(key)) for key, pattern in wanted.get("query", {}).items())
        )


class Faults:
    """The rules in force, in order. `actions` reads what this server's rules may ask for beside the common ones."""

    def __init__(self, actions: Mapping[str, Parse]) -> None:
        self._actions = {**_COMMON, **actions}
        self._rules: list[Rule] = []

    def replace(self, documents: Any) -> None:
        """Put these rules in the place of all others. Raises ValueError, and changes nothing, for what is no rule."""
        if not isinstance(documents, list):
            raise ValueError("a list of rules is expected")
        self._rules = [self._rule(document) for document in documents]

    def report(self) -> list[Json]:
        """The rules in force; `times` is what is left of them."""
        return [rule.document if rule.left is None else {**rule.document, "times": rule.left} for rule in self._rules]

    def take(self, method: str, path: str, query: Mapping[str, str]) -> list[object]:
        """What is to happen to this request; each rule is used once."""
        return [self._used(rule) for rule in list(self._rules) if rule.matches(method, path, query)]

    def _used(self, rule: Rule) -> object:
        if rule.left is not None:
            rule.left -= 1
            if not rule.left:
                self._rules.remove(rule)
        return rule.action

    def _rule(self, document: Any) -> Rule:
        if not isinstance(document, dict):
            raise ValueError(f"no rule: {document!r}")
        asked = document.keys() - _RULE_KEYS
        times = document.get("times")
        if len(asked) != 1 or not asked <= self._actions.keys():
            raise ValueError(f"a rule has exactly one of {', '.join(self._actions)}: {document!r}")
        if times is not None and (type(times) is not int or times < 1):
            raise ValueError(f"times: a positive number is expected, not {times!r}")
        _check_match(document.get("match", {}))
        name = asked.pop()
        return Rule(document, self._actions[name](document[name]), times)


def seconds(value: Any) -> float:
    """A duration in a rule. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ValueError(f"seconds are expected, not {value!r}")
    return float(value)


def when(value: Any) -> str:
    """Before or after the effect. Raises ValueError."""
    if value not in ("before", "after"):
        raise ValueError(f"before or after is expected, not {value!r}")
    return str(value)


def _fits(pattern: str | None, value: str | None) -> bool:
    if pattern is None or value is None:
        return pattern is value
    return re.fullmatch(pattern, value) is not None


def _check_match(match: Any) -> None:
    if not isinstance(match, dict) or not match.keys() <= _MATCH_KEYS:
        raise ValueError(f"match: only {', '.join(sorted(_MATCH_KEYS))} are known")
    query = match.get("query", {})
    if not isinstance(match.get("method", ""), str) or not isinstance(query, dict):
        raise ValueError("match: a method is a text, a query an object with patterns")
    patterns = [match.get("path", ""), *(value for value in query.values() if value is not None)]
    for pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise ValueError(f"match: {pattern!r} is no pattern") from error


_COMMON: Mapping[str, Parse] = {
    "latency": lambda value: Latency(seconds(value)),
    "drop": lambda value: Drop(when(value)),
    "hold": lambda value: Hold(when(value)),
}
