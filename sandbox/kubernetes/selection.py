"""Which objects a list or a watch is about: namespace, label selector, field selector.

Made by `api` from the query; asked by `shelf` and `watching` for every object.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.kubernetes.objects import Json, at
from sandbox.kubernetes.refusals import bad_request
from sandbox.kubernetes.resources import Resource

Test = Callable[[Mapping[str, str]], bool]

_KEY = r"(?P<key>[A-Za-z0-9][\w./-]*)"
_VALUE = r"[\w.-]*"
_EQUALITY = re.compile(rf"{_KEY}\s*(?P<operator>==?|!=)\s*(?P<value>{_VALUE})")
_SET = re.compile(rf"{_KEY}\s+(?P<operator>in|notin)\s*\((?P<values>[\w.,\s-]*)\)")
_PRESENCE = re.compile(rf"(?P<absent>!?)\s*{_KEY}")
_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")


@dataclass(frozen=True)
class Selection:
    """A predicate on objects; `is_everything` tells that it leaves nothing out but other namespaces."""

    namespace: str
    labels: tuple[Test, ...]
    fields: tuple[Callable[[Json], bool], ...]

    @property
    def is_everything(self) -> bool:
        return not self.labels and not self.fields

    def matches(self, item: Json) -> bool:
        metadata = item["metadata"]
        if self.namespace and metadata.get("namespace") != self.namespace:
            return False
        labels = metadata.get("labels") or {}
        return all(test(labels) for test in self.labels) and all(test(item) for test in self.fields)


def selection(resource: Resource, namespace: str, query: Mapping[str, str]) -> Selection:
    """What the query's `labelSelector` and `fieldSelector` select. Raises StatusError (400)."""
    labels = _COMMA_OUTSIDE_PARENTHESES.split(query.get("labelSelector", ""))
    fields = query.get("fieldSelector", "").split(",")
    return Selection(
        namespace,
        tuple(_label_test(text.strip()) for text in labels if text.strip()),
        tuple(_field_test(resource, text) for text in fields if text),
    )


def _label_test(text: str) -> Test:
    if found := _EQUALITY.fullmatch(text):
        return _one_of(found["key"], {found["value"]}, negated=found["operator"] == "!=")
    if found := _SET.fullmatch(text):
        values = {value.strip() for value in found["values"].split(",")}
        return _one_of(found["key"], values, negated=found["operator"] == "notin")
    if found := _PRESENCE.fullmatch(text):
        key, wanted = found["key"], not found["absent"]
        return lambda labels: (key in labels) is wanted
    raise bad_request(f"unable to parse requirement: {text!r} is no label requirement")


def _one_of(key: str, values: set[str], *, negated: bool) -> Test:
    # An absent key satisfies != and notin.
    return lambda labels: (labels.get(key) in values) is not negated


def _field_test(resource: Resource, text: str) -> Callable[[Json], bool]:
    found = re.fullmatch(r"(?P<path>[\w.]+)(?P<operator>==?|!=)(?P<value>.*)", text)
    if not found:
        raise bad_request(f"invalid selector: '{text}'; can't understand '{text}'")
    if found["path"] not in ("metadata.name", "metadata.namespace", *resource.fields):
        raise bad_request(f"field label not supported: {found['path']}")
    path, value, wanted = found["path"].split("."), found["value"], found["operator"] != "!="
    return lambda item: (_text(at(item, path)) == value) is wanted


def _text(value: Any) -> str:
    return "" if value is None else str(value)
