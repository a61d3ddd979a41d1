"""Which rules name a host, which ones would catch it, and where ours goes between them."""

from typing import Any

import pytest

from cloudflare_ops.ingress import CATCH_ALL, Ingress, catches, edit, plain
from fsm.desired import TunnelRule
from tests.cloudflare_ops.api import DOMAIN, SERVICE, host, rule, written

WIDE, ELSEWHERE = ({"hostname": f"*.{domain}", "service": "http://other"} for domain in (DOMAIN, "other.net"))


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (written(1), rule(1)),
        (written(1) | {"path": "", "originRequest": {}}, rule(1)),
        (written(1) | {"path": "/x"}, None),
        (CATCH_ALL, None),
        ({"hostname": "", "service": SERVICE}, None),
        ({"hostname": host(1)}, None),
        ({"hostname": host(1), "service": 80}, None),
        ({"hostname": 80, "service": SERVICE}, None),
    ],
)
def test_a_plain_rule_is_a_hostname_a_service_and_nothing_else(raw: dict[str, Any], wanted: TunnelRule | None) -> None:
    assert plain(raw) == wanted


@pytest.mark.parametrize("pattern", [None, "", "*", "*.example.org", "*.org"])
def test_a_wider_pattern_catches_a_host(pattern: object) -> None:
    assert catches(pattern, "a.example.org")


@pytest.mark.parametrize(
    "pattern", ["a.example.org", "b.example.org", "*.other.net", "*.xample.org", "*.a.example.org", 80]
)
def test_the_hosts_own_name_and_what_only_looks_like_its_domain_catch_nothing(pattern: object) -> None:
    assert not catches(pattern, "a.example.org")


@pytest.mark.parametrize(
    ("rules", "place"),
    [
        ([], 0),
        ([CATCH_ALL], 0),
        ([written(2), WIDE, CATCH_ALL], 1),
        ([ELSEWHERE, WIDE, CATCH_ALL], 1),
        ([written(2), ELSEWHERE], 2),
    ],
)
def test_a_rule_goes_before_the_first_that_would_catch_it_and_else_to_the_end(
    rules: list[dict[str, Any]], place: int
) -> None:
    before = {"ingress": rules}
    assert Ingress(before).place_for(host(1)) == place
    rules = rules or [CATCH_ALL]
    assert edit(before, add=[rule(1)], drop=set()) == {"ingress": [*rules[:place], written(1), *rules[place:]]}


def test_a_rule_is_in_place_at_the_end_of_a_document_without_a_catch_all_and_not_behind_a_wider_one() -> None:
    assert Ingress({"ingress": [ELSEWHERE, written(1)]}).is_in_place(rule(1))
    assert not Ingress({"ingress": [WIDE, written(1)]}).is_in_place(rule(1))
