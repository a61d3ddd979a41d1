"""What is newer wins, whoever tells it, and evidence has a time."""

import asyncio

import pytest

from fsm.errors import TransientError
from k8s.cache import TOMBSTONES, Cache, Change
from tests.k8s.fake import (
    SILENCE,
    added,
    bookmark,
    complete,
    deleted,
    item,
    listed,
    modified,
    refusal,
)
from tests.k8s.virtual import now, virtual
from tests.k8s.watched import Facts, Watched


@virtual
async def test_what_is_told_twice_changes_nothing() -> None:
    world = Watched()
    events = [added("a", 3), complete(5), modified("a", 6, labels={"text": "x"})]
    async with world.running([*events, events[0], events[2], SILENCE], seconds=1):
        assert [change.new and change.new.text for change in world.changes] == ["", "x"]


@virtual
async def test_an_older_event_does_not_undo_the_reply_to_a_write() -> None:
    world = Watched()
    async with world.running([added("a", 3), complete(5), 2, modified("a", 6), deleted("a", 7), SILENCE], seconds=1):
        world.reflector.offer(item("a", 8, labels={"text": "written"}), now())
        await asyncio.sleep(5)
        entry = world.reflector.get("a")
        assert entry
        assert (entry.version, entry.facts.text) == (8, "written")


@virtual
async def test_a_late_event_does_not_bring_back_what_was_deleted() -> None:
    world = Watched()
    async with world.running([added("a", 6), complete(6), 2, modified("a", 6), modified("a", 5), SILENCE], seconds=1):
        world.reflector.forget("a", "uid-a", now())
        await asyncio.sleep(5)
        assert world.names == []
        assert world.changes[-1] == Change(Facts("a", "uid-a", ""), None, witnessed=True)


@virtual
async def test_an_object_that_took_the_name_is_not_forgotten_in_the_place_of_the_old_one() -> None:
    world = Watched()
    async with world.running([added("a", 6, uid="new"), complete(6), SILENCE], seconds=1):
        world.reflector.forget("a", "old", now())
        assert world.names == ["a"]


@virtual
async def test_a_late_event_about_what_a_look_found_gone_is_ignored() -> None:
    world = Watched()
    world.kube.answers.append(listed(20))
    async with world.running([complete(6), 2, added("a", 9), SILENCE], seconds=1):
        await world.reflector.look(now())
        await asyncio.sleep(5)
        assert world.names == []


@virtual
async def test_an_object_that_is_none_of_ours_any_more_leaves() -> None:
    world = Watched()
    gone = modified("a", 7, labels={"text": "foreign"})
    async with world.running([added("a", 3), complete(5), gone, SILENCE], seconds=1):
        assert world.names == []
        assert not world.changes[-1].witnessed


@virtual
async def test_a_store_restored_from_a_backup_is_believed() -> None:
    world = Watched()
    again = [added("a", 2, labels={"text": "old"}), complete(4), SILENCE]
    async with world.running([added("a", 300), added("b", 310), complete(320), bookmark(90)], again, seconds=60):
        assert world.names == ["a"]
        entry = world.reflector.get("a")
        assert entry
        assert entry.facts.text == "old"


@virtual
async def test_a_look_is_shared_by_all_who_wait_and_needless_when_one_began_late_enough() -> None:
    world = Watched()
    world.kube.answers.extend([listed(8, item("a", 3)), listed(9, item("a", 3), item("b", 9))])
    since = now()
    await asyncio.gather(*(world.reflector.look(since) for _ in range(20)))
    assert len(world.kube.asked) == 1
    await asyncio.sleep(1)
    await world.reflector.look(now())
    assert world.names == ["a", "b"]


@virtual
async def test_a_look_that_fails_fails_for_all_who_wait() -> None:
    world = Watched()
    world.kube.answers.append(SILENCE)
    started = now()
    results = await asyncio.gather(*(world.reflector.look(started) for _ in range(20)), return_exceptions=True)
    assert all(isinstance(result, TransientError) for result in results)
    assert len(world.kube.asked) == 1
    assert now() - started == 10
    world.kube.answers.append(listed(8))
    await world.reflector.look(started)


@virtual
async def test_good_news_counts_from_the_request_and_bad_news_from_its_arrival() -> None:
    world = Watched()
    started = now()
    async with world.running([added("a", 3), complete(5), 7, modified("a", 6), deleted("b", 7), SILENCE], seconds=8):
        entry = world.reflector.get("a")
        assert entry
        assert (entry.began, entry.heard) == (started, started + 7)
        assert world.reflector.missing_since("b") == started + 7
        assert world.reflector.missing_since("c") == started
        world.reflector.offer(item("a", 6), now())
        entry = world.reflector.get("a")
        assert entry
        assert entry.began == now()


@virtual
async def test_an_event_after_a_reply_keeps_the_proof_that_the_reply_was() -> None:
    world = Watched()
    async with world.running([added("a", 3), complete(5), 7, modified("a", 9), SILENCE], seconds=1):
        replied = now()
        world.reflector.offer(item("a", 8), replied)
        await asyncio.sleep(10)
        entry = world.reflector.get("a")
        assert entry
        assert (entry.version, entry.began, entry.heard) == (9, replied, replied + 6)


def test_deleted_names_are_not_remembered_without_bound() -> None:
    cache: Cache[str] = Cache(lambda _: None)
    for number in range(TOMBSTONES + 10):
        cache.bury(f"name-{number}", number + 1, at=0.0, witnessed=True)
    cache.hear("name-0", 1, "facts", at=0.0)
    cache.hear(f"name-{TOMBSTONES}", 1, "facts", at=0.0)
    assert cache.get("name-0") is not None
    assert cache.get(f"name-{TOMBSTONES}") is None


@virtual
async def test_a_list_that_grew_too_old_between_two_pages_is_a_transient_failure() -> None:
    world = Watched()
    world.kube.answers.extend([listed(10, item("a", 3), following="next"), refusal(410)])
    with pytest.raises(TransientError):
        await world.reflector.look(now())
    assert world.names == []
