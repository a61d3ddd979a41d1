"""The zone as last seen: what a sight says, and since when."""

from typing import Any

from cloudflare_ops.ownership import render
from cloudflare_ops.zone import Claim, Seen, ZoneView
from fsm.observation import NEVER, Sight, Status
from tests.cloudflare_ops.api import DOMAIN, MARK, PROFILE, TARGET, host, record, session


def raw(number: int, **changes: Any) -> dict[str, Any]:
    plain = {"type": "CNAME", "name": host(number), "content": TARGET, "proxied": True, "comment": MARK}
    return {"id": f"id-{number}", **plain, **changes}


def listed(*records: dict[str, Any]) -> ZoneView:
    zone = ZoneView(PROFILE)
    zone.replace(DOMAIN, records, began=5.0, ended=6.0)
    return zone


def test_before_the_first_list_nothing_is_known() -> None:
    zone = ZoneView(PROFILE)
    assert zone.sight(session(1), (record(1),)) == Sight(Status.UNKNOWN)
    assert (zone.began, zone.ended, zone.claim(host(1))) == (None, NEVER, Claim.UNKNOWN)


def test_what_our_own_writes_tell_before_the_first_list_is_not_yet_a_view_of_the_zone() -> None:
    zone = ZoneView(PROFILE)
    zone.drop([{"id": "id-1"}], began=3.0)
    assert (zone.ours(session(1)), zone.sessions()) == ((), set())
    zone.absorb([raw(1)], began=4.0)
    assert zone.sight(session(1), (record(1),)) == Sight(Status.UNKNOWN)
    assert (zone.ours(session(1)), zone.sessions()) == ((), set())


def test_a_list_tells_what_is_there_and_when_it_began() -> None:
    zone = listed(raw(1), raw(2))
    assert zone.sight(session(1), (record(1),)) == Sight(Status.PRESENT, 5.0, "", (host(1),))
    assert zone.sight(session(3), (record(3),)) == Sight(Status.MISSING, 5.0)
    assert (zone.began, zone.ended) == (5.0, 6.0)


def test_a_session_that_wants_nothing_is_as_old_as_the_list() -> None:
    assert listed(raw(1)).sight(session(1), ()) == Sight(Status.PRESENT, 5.0, "", (host(1),))


def test_the_oldest_evidence_counts() -> None:
    zone = listed(raw(1))
    zone.absorb([raw(2)], began=7.0)
    assert zone.sight(session(2), (record(2),)).began == 7.0
    assert zone.sight(session(2), (record(2), record(1))).began == 5.0


def test_a_foreign_record_is_told_and_is_not_ours() -> None:
    sight = listed(raw(1, type="A", content="192.0.2.1", comment="")).sight(session(1), (record(1),))
    text = f"RecordConflict: {host(1)} has a record of type A that is not this operator's. "
    text += "Delete or rename that record, and the session goes on by itself"
    assert sight == Sight(Status.FOREIGN, 5.0, text)


def test_what_is_in_doubt_may_be_ours_until_the_next_list() -> None:
    zone = listed(raw(1), raw(2))
    zone.doubt([host(1)])
    assert zone.sight(session(1), (record(1),)) == Sight(Status.UNKNOWN, NEVER, "", (host(1),))
    assert zone.sight(session(2), (record(2),)) == Sight(Status.PRESENT, 5.0, "", (host(2),))
    assert (zone.began, zone.claim(host(1)), zone.claim(host(2))) == (None, Claim.UNKNOWN, Claim.OURS)
    zone.replace(DOMAIN, [], began=8.0, ended=9.0)
    assert zone.sight(session(1), (record(1),)) == Sight(Status.MISSING, 8.0)
    assert (zone.began, zone.claim(host(1))) == (8.0, Claim.NOBODY)


def test_a_second_record_at_the_name_is_no_longer_as_wanted() -> None:
    zone = listed(raw(1))
    zone.absorb([raw(1, id="other")], began=7.0)
    assert zone.sight(session(1), (record(1),)) == Sight(Status.MISSING, 7.0, "", (host(1),))
    assert [entry.id for entry in zone.ours(session(1))] == ["id-1", "other"]
    zone.drop([{"id": "id-1"}], began=9.0)
    assert zone.sight(session(1), (record(1),)) == Sight(Status.PRESENT, 9.0, "", (host(1),))


def test_an_answer_to_a_patch_takes_the_place_of_what_was_there() -> None:
    zone = listed(raw(1, proxied=False))
    assert zone.status(record(1)) is Status.MISSING
    zone.absorb([raw(1)], began=7.0)
    assert zone.sight(session(1), (record(1),)) == Sight(Status.PRESENT, 7.0, "", (host(1),))


def test_names_are_the_same_in_any_case() -> None:
    zone = listed(raw(1, name=host(1).upper()))
    assert zone.status(record(1)) is Status.PRESENT
    assert zone.at(host(1).upper()) == zone.at(host(1))
    assert zone.claim(host(1).upper()) is Claim.OURS


def test_sessions_are_those_with_a_record_of_ours() -> None:
    zone = listed(raw(1), raw(2, comment=""), raw(3, name=f"grafana.{DOMAIN}"))
    assert zone.sessions() == {session(1)}
    zone.drop([{"id": "id-1"}], began=7.0)
    assert zone.sessions() == set()


def test_a_name_outside_of_the_zone_is_somebody_elses() -> None:
    zone = listed(raw(1, name=f"{session(1)}-oc.other.org"))
    assert zone.claim(f"{session(1)}-oc.other.org") is Claim.FOREIGN
    assert zone.claim(f"{session(1)}-oc.not{DOMAIN}") is Claim.FOREIGN
    assert zone.claim(host(1)) is Claim.NOBODY


def test_an_empty_name_in_what_may_be_a_zone_of_its_own_is_somebody_elses() -> None:
    """Another instance has `sub.example.org` as its zone, on the same tunnel: its rules are no orphans of ours."""
    zone = listed(raw(1, name=f"{session(1)}-oc.former.{DOMAIN}"))
    assert zone.claim(f"{session(2)}-oc.sub.{DOMAIN}") is Claim.FOREIGN
    assert zone.claim(f"{session(1)}-oc.former.{DOMAIN}") is Claim.OURS


def test_a_name_with_a_record_of_ours_and_a_strangers_is_the_strangers() -> None:
    zone = listed(raw(1), raw(1, id="other", type="A"))
    assert zone.claim(host(1)) is Claim.FOREIGN
    assert zone.status(record(1)) is Status.FOREIGN
    assert "type A" in str(zone.conflict(record(1)))


def test_two_records_at_one_name_are_both_there_also_when_others_are_listed_between() -> None:
    zone = listed(raw(1), raw(2), raw(1, id="second", type="A", content="192.0.2.1", comment=""))
    assert [entry.id for entry in zone.at(host(1)).entries or ()] == ["id-1", "second"]
    assert [entry.id for entry in zone.at(host(2)).entries or ()] == ["id-2"]
    assert ZoneView(PROFILE).at(host(1)) == Seen(None, NEVER)


def test_a_name_with_another_owners_record_is_that_ones_whatever_else_stands_there() -> None:
    zone = listed(raw(1), raw(1, id="other", comment=render("another")), raw(2, comment=render("another")))
    assert (zone.claim(host(1)), zone.claim(host(2))) == (Claim.ANOTHERS, Claim.ANOTHERS)
