"""The edit of the tunnel's document, for any document: what is not ours survives, what is ours is reached."""

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cloudflare_ops.ingress import CATCH_ALL, Ingress, catches, edit, plain
from fsm.desired import TunnelRule
from fsm.observation import Status

SERVICE, OLD = "http://router:80", "http://old-router:80"
HOSTS = [f"{number:012x}-oc.example.org" for number in range(6)]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
patterns = st.sampled_from(["*.example.org", "*.org", "*.other.net", "www.example.org", "", "*", None])
foreign_rules = st.fixed_dictionaries(
    {"hostname": patterns, "service": st.sampled_from(["http://other", "http_status:503"])},
    optional={"path": st.text(max_size=3), "originRequest": values, "unknown": values},
) | st.fixed_dictionaries(
    {"hostname": st.sampled_from(HOSTS), "service": st.sampled_from(["http://x", SERVICE]), "path": st.just("/p")}
)
own_rules: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"hostname": st.sampled_from(HOSTS), "service": st.sampled_from([SERVICE, OLD])},
    optional={"originRequest": st.just(dict[str, Any]())},
)
rest = st.dictionaries(st.sampled_from(["originRequest", "warp-routing", "new"]), values)


@st.composite
def documents(draw: st.DrawFn, rules: st.SearchStrategy[Any] = foreign_rules | own_rules) -> dict[str, Any] | None:
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from([None, {}, {"ingress": None}, {"ingress": []}]))
    return {**draw(rest), "ingress": [*draw(st.lists(rules, max_size=8)), dict(CATCH_ALL)]}


wishes = st.sets(st.sampled_from([TunnelRule(host, SERVICE) for host in HOSTS]))


def rules_of(config: Mapping[str, Any] | None) -> list[Any]:
    return list((config or {}).get("ingress") or [])


def without(config: Mapping[str, Any] | None, ours: set[TunnelRule]) -> list[Any]:
    return [rule for rule in rules_of(config) if plain(rule) not in ours]


@given(documents(), wishes, wishes)
def test_everything_that_is_not_ours_stays_in_its_order(
    config: dict[str, Any] | None, add: set[TunnelRule], drop: set[TunnelRule]
) -> None:
    edited = edit(config, add=add, drop=drop - add)
    survivors = without(config, add | drop) or ([CATCH_ALL] if rules_of(edited) else [])
    assert without(edited, add | drop) == survivors
    fields = {key: value for key, value in (config or {}).items() if key != "ingress"}
    assert {key: value for key, value in edited.items() if key != "ingress"} == fields


@given(documents(), wishes, wishes)
def test_ours_are_there_once_reached_and_the_catch_all_stays_last(
    config: dict[str, Any] | None, add: set[TunnelRule], drop: set[TunnelRule]
) -> None:
    edited = edit(config, add=add, drop=drop - add)
    rules = rules_of(edited)
    for wanted in add:
        place = next(place for place, rule in enumerate(rules) if plain(rule) == wanted)
        wider = [
            rule
            for rule in rules[:place]
            if rule.get("hostname") != wanted.hostname and _catches(rule, wanted.hostname)
        ]
        assert wider == []
    assert not {plain(rule) for rule in rules} & (drop - add)
    assert not rules or rules[-1] == CATCH_ALL


def _catches(rule: Mapping[str, Any], hostname: str) -> bool:
    return catches(rule.get("hostname"), hostname)


@given(documents(), wishes, wishes)
def test_the_same_edit_again_changes_nothing(
    config: dict[str, Any] | None, add: set[TunnelRule], drop: set[TunnelRule]
) -> None:
    edited = edit(config, add=add, drop=drop - add)
    assert edit(edited, add=add, drop=drop - add) == edited


@given(documents(), st.permutations(HOSTS))
def test_the_order_of_the_wishes_does_not_matter(config: dict[str, Any] | None, hosts: list[str]) -> None:
    wanted = [TunnelRule(host, SERVICE) for host in hosts]
    assert edit(config, add=wanted, drop=set()) == edit(config, add=sorted(wanted, key=str), drop=set())


@given(documents(foreign_rules), wishes)
def test_adding_and_removing_restores_the_document(config: dict[str, Any] | None, add: set[TunnelRule]) -> None:
    restored = edit(edit(config, add=add, drop=set()), add=(), drop=add)
    assert restored == (config or {}) or (not rules_of(config) and rules_of(restored) == [CATCH_ALL])


@given(documents(), wishes)
def test_the_argument_is_never_changed(config: dict[str, Any] | None, add: set[TunnelRule]) -> None:
    before = repr(config)
    edit(config, add=add, drop=set())
    assert repr(config) == before


@given(documents(), wishes, st.booleans())
def test_what_was_added_is_seen_as_present_unless_something_foreign_has_the_name(
    config: dict[str, Any] | None, add: set[TunnelRule], recorded: bool
) -> None:
    ours = {TunnelRule(host, OLD) for host in HOSTS} if recorded else set()
    before = Ingress(config)
    fine = {rule for rule in add if before.status(rule, ours) is not Status.FOREIGN}
    after = Ingress(edit(config, add=fine, drop=ours))
    assert all(after.status(rule, ()) is Status.PRESENT for rule in fine)
