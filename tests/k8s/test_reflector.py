"""What the cache of a watched kind promises, whatever the API server does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from fsm.errors import TransientError
from k8s.cache import TOMBSTONES, Cache, Change
from k8s.client import Object
from k8s.reflector import IDLE, LIFE, Reflector
from tests.k8s.fake import (
    SILENCE,
    FakeKube,
    added,
    bookmark,
    complete,
    deleted,
    error,
    item,
    listed,
    modified,
    refusal,
)
from tests.k8s.virtual import now, virtual

PATH = "/api/v1/namespaces/ns/pods"


@dataclass(frozen=True)
class Facts:
    name: str
    uid: str
    text: str


def parse(thing: Object, _: Facts | None) -> Facts | None:
    metadata = thing["metadata"]
    text = (metadata.get("labels") or {}).get("text", "")
    return None if text == "foreign" else Facts(metadata["name"], metadata["uid"], text)


class Watched:
    def __init__(self) -> None:
        self.kube = FakeKube()
        self.changes: list[Change[Facts]] = []
        self.reflector = Reflector(
            self.kube, PATH, parse=parse, on_change=self.changes.append, now=now, selector="a=b", jitter=lambda: 0.0
        )

    @property
    def names(self) -> list[str]:
        return sorted(entry.facts.name for entry in self.reflector.entries())

    @asynccontextmanager
    async def running(self, *streams: list[object], seconds: float = 0.0) -> AsyncIterator[None]:
        """Run with these streams (then none), look `seconds` later."""
        self.kube.streams.extend(streams)
        task = asyncio.create_task(self.reflector.run())
        await asyncio.sleep(seconds)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled(), task.exception()
            assert self.kube.open == 0


@virtual
async def test_the_first_state_comes_as_a_stream_and_is_complete_at_its_bookmark() -> None:
    world = Watched()
    async with world.running([added("a", 3), 5, added("b", 7), complete(9), SILENCE]):
        assert not world.reflector.synced.is_set()
        assert world.names == []
        await asyncio.sleep(6)
        assert world.reflector.synced.is_set()
        assert world.names == ["a", "b"]
        assert world.reflector.problem is None
        assert world.reflector.last_sync == now() - 1
    query = world.kube.opened[0].query
    assert query["sendInitialEvents"] == "true"
    assert query["resourceVersionMatch"] == "NotOlderThan"
    assert "resourceVersion" not in query
    assert query["labelSelector"] == "a=b"


@virtual
@pytest.mark.parametrize("status", [400, 422])
async def test_a_server_without_initial_events_is_read_page_by_page(status: int) -> None:
    world = Watched()
    world.kube.answers.extend([listed(10, item("a", 3), following="next"), listed(10, item("b", 4))])
    async with world.running([refusal(status)], [added("c", 11), SILENCE], seconds=1):
        assert world.names == ["a", "b", "c"]
    assert [asked.query.get("continue") for asked in world.kube.asked] == [None, "next"]
    assert world.kube.opened[1].query["resourceVersion"] == "10"
    assert "sendInitialEvents" not in world.kube.opened[1].query


@virtual
async def test_a_server_that_ignores_the_wish_for_initial_events_is_listed_instead() -> None:
    world = Watched()
    world.kube.answers.append(listed(10, item("a", 3)))
    async with world.running([added("a", 3), bookmark(5), SILENCE], [SILENCE], seconds=30):
        assert world.names == ["a"]
        assert world.reflector.synced.is_set()
    assert world.kube.opened[1].query["resourceVersion"] == "10"


@virtual
@pytest.mark.parametrize("goodbye", [[], [refusal(500)], [SILENCE]])
async def test_after_a_break_the_watch_goes_on_from_the_last_version(goodbye: list[object]) -> None:
    world = Watched()
    first = [added("a", 3), complete(5), modified("a", 8), bookmark(12), *goodbye]
    async with world.running(first, [added("b", 13), SILENCE], seconds=IDLE + 5):
        assert world.names == ["a", "b"]
    assert world.kube.opened[1].query["resourceVersion"] == "12"
    assert not world.kube.asked


@virtual
@pytest.mark.parametrize("expired", [[refusal(410)], [40, error(410)]])
async def test_an_expired_version_means_reading_everything_again(expired: list[object]) -> None:
    world = Watched()
    again = [added("b", 4, labels={"text": "new"}), complete(50), SILENCE]
    async with world.running([added("a", 3), added("b", 4), complete(5)], expired, again, seconds=60):
        assert world.names == ["b"]
    assert "resourceVersion" not in world.kube.opened[2].query
    # Missing in a list is no witness of a deletion.
    assert Change(Facts("a", "uid-a", ""), None, witnessed=False) in world.changes


@virtual
async def test_streams_that_end_at_once_are_opened_ever_more_slowly() -> None:
    world = Watched()
    world.kube.usual_stream = []
    async with world.running([complete(5)], seconds=600):
        pass
    assert 20 <= len(world.kube.opened) <= 50


@virtual
async def test_a_stream_that_ended_after_a_long_life_is_opened_again_at_once() -> None:
    world = Watched()
    async with world.running([complete(5), LIFE], [SILENCE], seconds=LIFE + 1):
        assert world.kube.opened[1].at == now() - 1
        assert world.reflector.last_sync == now() - 1


@virtual
async def test_minutes_without_an_api_server_are_survived_and_shown() -> None:
    world = Watched()
    async with world.running([added("a", 3), complete(5), refusal(500)], seconds=600):
        assert world.names == ["a"]
        assert world.reflector.synced.is_set()
        assert "cannot be reached" in str(world.reflector.problem)
        assert len(world.kube.opened) < 60
        world.kube.usual_stream = [added("b", 6), SILENCE]
        await asyncio.sleep(40)
        assert world.names == ["a", "b"]
        assert world.reflector.problem is None


@virtual
async def test_the_server_says_how_long_to_stay_away() -> None:
    world = Watched()
    async with world.running([refusal(429, retry_after=77.0)], [complete(5), SILENCE], seconds=80):
        assert world.kube.opened[1].at - world.kube.opened[0].at == 77


@virtual
@pytest.mark.parametrize(
    "nonsense", [{"type": "ADDED"}, {}, {"type": "ADDED", "object": {"metadata": {"name": "x"}}}, {"object": 7}]
)
async def test_an_event_that_nobody_can_read_does_not_end_the_watching(nonsense: Object) -> None:
    world = Watched()
    async with world.running([complete(5), nonsense], [added("a", 6), SILENCE], seconds=10):
        assert world.names == ["a"]


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
