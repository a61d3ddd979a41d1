"""Whether labels match a label selector: what a watch with that selector tells of an object, asked of a reply. Pure.

A reply shows an object whether it is selected or not. One that left the selection, and was written by us before its
watch had told so, came back by that reply, newer than the news of its leaving; and nothing ever told of its end.
"""

import re
from collections.abc import Callable, Mapping

Labels = Mapping[str, str]

_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")
_REQUIREMENT = re.compile(
    r"\s*(?:(?P<absent>!)\s*)?(?P<key>[^\s!=,()]+)\s*"
    r"(?:(?P<operator>==|=|!=|\bin\b|\bnotin\b)\s*\(?(?P<values>[^()]*)\)?)?\s*"
)


def test_of(selector: str) -> Callable[[Labels], bool]:
    """The test that a selector is; one that is no selector (`controller.settings` lets none pass) raises ValueError."""
    requirements = [_test(text) for text in _COMMA_OUTSIDE_PARENTHESES.split(selector) if text.strip()]
    return lambda labels: all(test(labels) for test in requirements)


def _test(text: str) -> Callable[[Labels], bool]:
    found = _REQUIREMENT.fullmatch(text)
    if not found:
        raise ValueError(text)
    key, operator = found["key"], found["operator"]
    if operator is None:
        return lambda labels: (key in labels) is not bool(found["absent"])
    values = {value.strip() for value in found["values"].split(",")}
    # Who has no such label satisfies != and notin.
    return lambda labels: (labels.get(key) in values) is not operator.startswith(("!", "not"))
