"""The rules of what is to go wrong, without a server: how they match, count down and are refused."""

from typing import Any

import pytest

from sandbox.faults import Drop, Faults, Hold, Latency, when


def faults(*rules: Any) -> Faults:
    made = Faults({"own": when})
    made.replace(list(rules))
    return made


def test_every_server_knows_latency_drop_and_hold_and_its_own() -> None:
    made = faults({"latency": 1}, {"drop": "before"}, {"hold": "after"}, {"own": "after"})
    assert made.take("GET", "/", {}) == [Latency(1.0), Drop("before"), Hold("after"), "after"]


def test_a_rule_without_times_holds_for_ever_and_one_with_times_counts_down() -> None:
    made = faults({"latency": 1}, {"times": 2, "drop": "before"})
    taken = [len(made.take("GET", "/", {})) for _ in range(4)]
    assert taken == [2, 2, 1, 1]
    assert made.report() == [{"latency": 1}]


def test_what_is_left_of_a_rule_is_reported() -> None:
    made = faults({"times": 3, "match": {"method": "GET"}, "drop": "before"})
    made.take("GET", "/", {})
    made.take("PUT", "/", {})
    assert made.report() == [{"times": 2, "match": {"method": "GET"}, "drop": "before"}]


@pytest.mark.parametrize(
    ("match", "matches"),
    [
        ({}, True),
        ({"method": "GET"}, True),
        ({"method": "PUT"}, False),
        ({"path": "/a/.*"}, True),
        ({"path": "/a"}, False),
        ({"path": ".*/c"}, False),
        ({"query": {"page": "20|21"}}, True),
        ({"query": {"page": "2"}}, False),
        ({"query": {"page": None}}, False),
        ({"query": {"other": None}}, True),
        ({"query": {"other": ".*"}}, False),
        ({"method": "GET", "path": "/a/b", "query": {"page": "21", "other": None}}, True),
        ({"method": "GET", "path": "/a/b", "query": {"page": "21", "other": "x"}}, False),
    ],
    ids=str,
)
def test_everything_a_rule_names_has_to_match_as_a_whole(match: dict[str, Any], matches: bool) -> None:
    made = faults({"match": match, "drop": "before"})
    assert bool(made.take("GET", "/a/b", {"page": "21"})) is matches


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        {},
        {"match": {}},
        {"drop": "before", "hold": "before"},
        {"unknown": 1},
        {"drop": True},
        {"hold": "now"},
        {"own": "x"},
        {"latency": "1"},
        {"latency": -0.1},
        {"latency": True},
        {"latency": float("nan")},
        {"latency": float("inf")},
        {"times": 0, "latency": 1},
        {"times": 1.5, "latency": 1},
        {"times": True, "latency": 1},
        {"match": [], "latency": 1},
        {"match": {"host": "x"}, "latency": 1},
        {"match": {"method": 1}, "latency": 1},
        {"match": {"path": "("}, "latency": 1},
        {"match": {"path": 1}, "latency": 1},
        {"match": {"query": "page"}, "latency": 1},
        {"match": {"query": {"page": "["}}, "latency": 1},
        {"match": {"query": {"page": 1}}, "latency": 1},
    ],
    ids=str,
)
def test_one_that_is_no_rule_leaves_all_as_they_were(nonsense: object) -> None:
    made = faults({"drop": "before"})
    with pytest.raises(ValueError, match=r"."):
        made.replace([{"latency": 1}, nonsense])
    assert made.report() == [{"drop": "before"}]


def test_rules_come_as_a_list() -> None:
    with pytest.raises(ValueError, match="a list of rules"):
        faults().replace({"drop": "before"})
