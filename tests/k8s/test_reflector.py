"""What the cache of a watched kind promises, whatever the API server does."""

import asyncio

import pytest

from fsm.errors import TransientError
from k8s.cache import Change
from k8s.client import Object
from k8s.reflector import IDLE, LIFE, MOST_ASKED
from tests.k8s.fake import (
    SILENCE,
    added,
    bookmark,
    complete,
    error,
    item,
    listed,
    modified,
    refusal,
)
from tests.k8s.virtual import now, virtual
from tests.k8s.watched import Facts, Watched


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
    assert query["labelSelector"] == "!other"


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
async def test_a_server_that_has_restarted_is_listed_as_soon_as_it_says_so() -> None:
    """Found on a real one: the pause for the outage was made once more before the list, and Pods went unwitnessed."""
    world = Watched()
    down: list[list[object]] = [[refusal(503)]] * 4
    back: list[list[object]] = [[refusal(410)], [added("a", 60), complete(61), SILENCE]]
    async with world.running([added("a", 3), complete(5)], *down, *back, seconds=100):
        pass
    expired, listed = world.kube.opened[5:7]
    assert expired.query["resourceVersion"] == "5"
    assert listed.at == expired.at


@virtual
async def test_a_server_that_says_so_for_ever_is_asked_ever_more_slowly() -> None:
    world = Watched()
    world.kube.usual_stream = [refusal(410)]
    async with world.running([complete(5)], seconds=600):
        pass
    assert 20 <= len(world.kube.opened) <= 50


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
async def test_a_pause_of_a_day_is_not_kept() -> None:
    world = Watched()
    asked = TransientError("KubernetesUnavailable", "the API server answered 503", retry_after=86_400.0)
    async with world.running([asked], [complete(9), SILENCE], seconds=2 * MOST_ASKED):
        assert world.reflector.synced.is_set()


@virtual
async def test_the_end_of_a_problem_is_told_also_when_it_was_there_from_the_start_and_a_first_sync_is_none() -> None:
    world = Watched()
    async with world.running([complete(9), SILENCE], seconds=10):
        assert world.recoveries == 0
    world = Watched()
    async with world.running([refusal(404)], [complete(9), SILENCE], seconds=10):
        assert world.recoveries == 1


@virtual
async def test_a_bug_in_what_reads_the_objects_does_not_end_the_watching(caplog: pytest.LogCaptureFixture) -> None:
    world = Watched()
    async with world.running([{"type": "ADDED", "object": {"metadata": [1]}}], [complete(9), SILENCE], seconds=10):
        assert world.reflector.synced.is_set()
    assert "this is a bug" in caplog.text
