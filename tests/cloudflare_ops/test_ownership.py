"""The mark: what is ours, to the letter."""

import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudflare_ops.ownership import (
    COMMENT_LIMIT,
    ORIGINAL_COMMENT,
    Entry,
    Verdict,
    conflict_text,
    entry_of,
    has_id,
    is_anothers,
    is_ours,
    is_record,
    judge,
    owner_of,
    parse,
    render,
)
from tests.cloudflare_ops.api import DOMAIN, MARK, PROFILE, TARGET, host

OURS = Entry(id="1", type="CNAME", name=host(1), content=TARGET, proxied=True, comment=MARK)
owners = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?", fullmatch=True)


@given(owners)
def test_a_mark_is_read_back_and_fits_the_smallest_plan(owner: str) -> None:
    assert parse(render(owner)) == owner
    assert len(render(owner)) <= COMMENT_LIMIT


@given(st.text())
def test_whatever_reads_as_a_mark_is_exactly_that_mark(comment: str) -> None:
    owner = parse(comment)
    assert owner is None or render(owner) == comment


@given(owners, st.text(min_size=1, max_size=5))
def test_a_mark_with_anything_around_it_is_no_mark(owner: str, more: str) -> None:
    assert parse(render(owner) + more) is None
    assert parse(more + render(owner)) is None


@pytest.mark.parametrize("owner", ["", " ", "a b", "a;b", "a\n", "-a", "a" * 60, "ä"])
def test_an_owner_that_cannot_be_marked_is_refused_at_start(owner: str) -> None:
    with pytest.raises(ValueError, match="owner id"):
        render(owner)


def test_the_longest_owner_fills_the_comment_and_one_more_is_told_the_limit_that_the_readme_names() -> None:
    assert len(render("a" * 52)) == COMMENT_LIMIT
    with pytest.raises(ValueError, match="of at most 52 letters"):
        render("a" * 53)


@given(st.text(string.printable, max_size=80))
def test_the_render_refuses_or_can_be_read_back(owner: str) -> None:
    try:
        comment = render(owner)
    except ValueError:
        return
    assert parse(comment) == owner


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, Verdict.OURS),
        ({"comment": render("old-a")}, Verdict.OURS_DIFFERENT),
        ({"proxied": False}, Verdict.OURS_DIFFERENT),
        ({"comment": ORIGINAL_COMMENT}, Verdict.ADOPTABLE),
        ({"comment": ORIGINAL_COMMENT, "proxied": False}, Verdict.FOREIGN),
        ({"comment": ORIGINAL_COMMENT + " "}, Verdict.FOREIGN),
        ({"comment": ORIGINAL_COMMENT, "content": "x"}, Verdict.FOREIGN),
        ({"comment": render("team-ab")}, Verdict.FOREIGN),
        ({"comment": ""}, Verdict.FOREIGN),
        ({"content": "other.cfargotunnel.com"}, Verdict.FOREIGN),
        ({"type": "TXT"}, Verdict.FOREIGN),
        ({"name": "www." + DOMAIN}, Verdict.FOREIGN),
    ],
)
def test_what_a_record_at_a_wanted_name_is_to_us(change: dict[str, Any], verdict: Verdict) -> None:
    entry = replace(OURS, **change)
    assert judge(entry, PROFILE) is verdict
    assert is_ours(entry, PROFILE) is (verdict in (Verdict.OURS, Verdict.OURS_DIFFERENT))


@pytest.mark.parametrize(
    ("change", "owner"),
    [
        ({}, None),
        ({"comment": render("old-a")}, None),
        ({"comment": render("team-ab")}, "team-ab"),
        ({"comment": render("team-ab") + " "}, None),
        ({"comment": ORIGINAL_COMMENT}, None),
        ({"comment": render("team-ab"), "content": "other.cfargotunnel.com"}, None),
        ({"comment": render("team-ab"), "type": "TXT"}, None),
        ({"comment": render("team-ab"), "name": "www." + DOMAIN}, None),
    ],
)
def test_another_owners_is_what_is_marked_and_leads_to_a_session_on_our_tunnel(
    change: dict[str, Any], owner: str | None
) -> None:
    entry = replace(OURS, **change)
    assert is_anothers(entry, PROFILE) is (owner is not None)
    assert owner is None or owner_of(entry, PROFILE) == owner


def test_the_original_comment_is_what_the_original_operator_wrote() -> None:
    assert ORIGINAL_COMMENT == "opencode session — managed by opencode-cloudflare-operator"


def test_a_conflict_names_the_record_its_type_its_owner_if_it_has_one_and_the_remedy() -> None:
    remedy = "delete or rename that record, and the session goes on by itself"
    text = f"{host(1)} has a record of type A that is not this operator's"
    assert conflict_text(replace(OURS, type="A", comment=""), PROFILE) == (text, remedy)
    text = f"{host(1)} has a record of type CNAME of owner team-b that is not this operator's"
    taken_over = "; or add team-b to OWNER_ID_PREVIOUS, if all of that owner's may be taken over"
    assert conflict_text(replace(OURS, comment=render("team-b")), PROFILE) == (text, remedy + taken_over)
    elsewhere = replace(OURS, comment=render("team-b"), content="other.cfargotunnel.com")
    assert conflict_text(elsewhere, PROFILE) == (text, remedy), "no owner id makes another tunnel's record ours"


@pytest.mark.parametrize(
    ("raw", "has"), [({"id": "1"}, True), ({}, False), ("id", False), (["id"], False), (None, False)]
)
def test_only_a_record_has_an_id(raw: object, has: bool) -> None:
    assert has_id(raw) is has


def test_a_record_has_its_three_names_and_a_bare_one_is_an_entry_of_nothing_else() -> None:
    bare = {"id": "1", "type": "A", "name": "A.example.org"}
    assert is_record(bare)
    assert not any(is_record({key: text for key, text in bare.items() if key != absent}) for absent in bare)
    assert entry_of(bare) == Entry("1", "A", "a.example.org", content="", proxied=False, comment="")
