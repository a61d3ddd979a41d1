"""Session Pods as facts: what is kept, who is told, what a write does to the cache."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import pytest

from fsm.codec import KEYS
from fsm.errors import GoneError, StaleError, TransientError
from fsm.observation import PodFacts
from fsm.session import HASH_LABEL
from k8s.client import Object
from k8s.errors import JSON_PATCH
from k8s.pods import SELECTABLE, Pods
from tests.k8s.fake import SILENCE, FakeKube, added, complete, deleted, item, listed, modified, refusal
from tests.k8s.virtual import now, virtual

A, B = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
STATE, SINCE = "cloudflare.opencode.ai/state", "cloudflare.opencode.ai/since"
PATH = "/api/v1/namespaces/ns/pods"


def labelled(text: str = A, annotations: dict[str, str] | None = None, **rest: Any) -> dict[str, Any]:
    own = {"annotations": annotations} if annotations is not None else {}
    labels = {HASH_LABEL: text, "app.kubernetes.io/managed-by": "opencode-router"}
    return {"labels": labels, "namespace": "ns", "creationTimestamp": "2026-11-23T00:00:00Z", **own, **rest}


GOING: dict[str, Any] = {"deletionTimestamp": "2026-11-23T00:01:00Z"}


class World:
    def __init__(self) -> None:
        self.kube = FakeKube()
        self.told: list[str] = []
        self.gone: list[str] = []
        self.invalid: list[tuple[str, str, str, str]] = []
        self.pods = Pods(
            self.kube,
            namespace="ns",
            selector="app.kubernetes.io/managed-by=opencode-router",
            now=now,
            on_change=self.told.append,
            on_gone=lambda pod: self.gone.append(pod.session),
            on_invalid=lambda *pod: self.invalid.append(pod),
        )

    @asynccontextmanager
    async def watching(self, *events: Any) -> AsyncIterator[None]:
        self.kube.streams.append([*events, SILENCE])
        task = asyncio.create_task(self.pods.reflector.run())
        await asyncio.sleep(1)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    def one(self) -> PodFacts:
        (pod,) = self.pods.of(A)
        return pod


@virtual
async def test_only_metadata_is_asked_for_and_only_our_annotations_are_kept() -> None:
    world = World()
    secret = {"opencode.ai/pod-secret": "s3cret", STATE: "Ready"}
    async with world.watching(added("p", 3, **labelled(annotations=secret)), complete(5)):
        assert world.one().annotations == {STATE: "Ready"}
        assert not world.one().bare
        assert "s3cret" not in repr(world.one())
        assert world.pods.sessions() == {A}
    assert "PartialObjectMetadata" in world.kube.opened[0].accept
    assert world.kube.opened[0].query["labelSelector"] == "app.kubernetes.io/managed-by=opencode-router"


@virtual
async def test_a_pod_without_a_hash_is_ignored_and_one_with_a_bad_hash_is_told_once() -> None:
    world = World()
    bad = labelled("NOT-A-HASH")
    events = (
        added("export", 3, labels={}),
        added("bad", 4, uid="u", **bad),
        complete(5),
        modified("bad", 6, uid="u", **bad),
    )
    async with world.watching(*events):
        assert world.pods.sessions() == set()
        assert world.invalid == [("bad", "ns", "u", "NOT-A-HASH")]


@virtual
async def test_the_time_of_the_first_sight_stays_with_the_uid() -> None:
    world = World()
    started = now()
    again = added("p", 9, uid="second", **labelled())
    async with world.watching(
        complete(1), added("p", 3, **labelled()), 5, modified("p", 4, **labelled(**GOING)), 5, again
    ):
        assert world.one().first_seen == started
        await asyncio.sleep(5)
        assert world.one().deleting
        assert world.one().first_seen == started
        await asyncio.sleep(5)
        assert world.one().first_seen == started + 10


@virtual
async def test_a_new_resource_version_alone_is_no_news_but_is_known() -> None:
    world = World()
    async with world.watching(complete(1), added("p", 3, **labelled()), modified("p", 4, **labelled())):
        assert world.told == [A]
        assert world.one().resource_version == "4"


@virtual
async def test_a_pod_that_was_seen_to_go_is_witnessed_and_a_list_that_misses_it_is_not() -> None:
    world = World()
    events = (added("p", 3, **labelled()), added("q", 4, **labelled(B)), complete(5), deleted("p", 7, **labelled()))
    async with world.watching(*events):
        assert world.gone == [A]
        world.kube.answers.append(listed(9))
        await world.pods.reflector.look(now())
        assert world.gone == [A]
        assert world.pods.sessions() == set()
        assert world.told == [A, B, A, B]


@virtual
async def test_a_deletion_timestamp_is_a_witness_also_in_the_first_list() -> None:
    world = World()
    async with world.watching(added("p", 3, **labelled(**GOING)), complete(5)):
        assert world.gone == [A]


@virtual
async def test_a_pod_whose_hash_changes_moves_to_the_other_session() -> None:
    world = World()
    async with world.watching(added("p", 3, **labelled()), complete(5), modified("p", 6, **labelled(B))):
        assert world.pods.sessions() == {B}
        assert world.pods.of(A) == ()
        assert set(world.told) == {A, B}
        assert world.gone == []


@virtual
async def test_a_write_is_a_patch_of_the_status_and_its_reply_is_known_at_once() -> None:
    world = World()
    async with world.watching(added("p", 3, **labelled()), complete(5)):
        world.kube.answers.append(item("p", 8, **labelled(annotations={STATE: "Pending"})))
        written = await world.pods.write(world.one(), {STATE: "Pending"}, KEYS)
        assert written == world.one()
        assert written.annotations == {STATE: "Pending"}
    (asked,) = world.kube.asked
    assert (asked.method, asked.path, asked.content_type) == ("PATCH", f"{PATH}/p/status", JSON_PATCH)
    assert asked.body[0] == {"op": "test", "path": "/metadata/uid", "value": "uid-p"}


@virtual
async def test_a_pod_that_had_left_the_selection_when_it_was_written_does_not_come_back_by_the_reply() -> None:
    """The news of its leaving is older than the reply, and nothing would ever tell of its end."""
    world = World()
    gone = deleted("p", 6, labels={HASH_LABEL: A}, namespace="ns")
    async with world.watching(added("p", 3, **labelled()), complete(5), 2.0, gone):
        unselected = {HASH_LABEL: A}
        world.kube.answers.append(item("p", 8, **labelled(annotations={STATE: "Pending"}, labels=unselected)))
        with pytest.raises(StaleError):
            await world.pods.write(world.one(), {STATE: "Pending"}, KEYS)
        assert (world.pods.of(A), world.gone) == ((), [A])
        await asyncio.sleep(3)
        assert (world.pods.of(A), world.gone) == ((), [A])


@virtual
async def test_nothing_is_written_when_nothing_changes() -> None:
    world = World()
    async with world.watching(added("p", 3, **labelled(annotations={STATE: "Ready"})), complete(5)):
        assert await world.pods.write(world.one(), {STATE: "Ready"}, KEYS) == world.one()
    assert world.kube.asked == []


@virtual
@pytest.mark.parametrize("status", [409, 422])
async def test_a_write_against_something_newer_is_stale_and_the_cache_then_holds_what_is_there(status: int) -> None:
    world = World()
    async with world.watching(added("p", 3, **labelled()), complete(5)):
        there = item("p", 8, **labelled(annotations={STATE: "Ready"}))
        world.kube.answers.extend([refusal(status, method="PATCH", content_type=JSON_PATCH), there])
        with pytest.raises(StaleError):
            await world.pods.write(world.one(), {STATE: "Pending"}, KEYS)
        assert world.one().annotations == {STATE: "Ready"}


@virtual
async def test_a_write_to_a_pod_that_was_made_again_is_stale() -> None:
    world = World()
    async with world.watching(added("p", 3, **labelled()), complete(5)):
        before = world.one()
        world.kube.answers.extend([refusal(422, content_type=JSON_PATCH), item("p", 8, uid="new", **labelled())])
        with pytest.raises(StaleError):
            await world.pods.write(before, {STATE: "Pending"}, KEYS)
        assert world.one().uid == "new"


@virtual
async def test_a_late_reply_about_a_pod_that_was_made_again_since_is_stale() -> None:
    world = World()
    async with world.watching(added("p", 3, **labelled()), complete(5)):
        before = world.one()
        world.pods.reflector.offer(item("p", 9, uid="new", **labelled()), now())
        world.kube.answers.append(item("p", 8, **labelled(annotations={STATE: "Pending"})))
        with pytest.raises(StaleError):
            await world.pods.write(before, {STATE: "Pending"}, KEYS)
        assert world.one().uid == "new"


@virtual
@pytest.mark.parametrize("answers", [["404"], ["422", "404"]])
async def test_a_write_to_a_pod_that_is_gone_says_so_and_witnesses_it(answers: list[str]) -> None:
    world = World()
    gone = refusal(404, body={"details": {"name": "p", "kind": "pods"}})
    async with world.watching(added("p", 3, **labelled()), complete(5)):
        world.kube.answers.extend(gone if text == "404" else refusal(422, content_type=JSON_PATCH) for text in answers)
        with pytest.raises(GoneError):
            await world.pods.write(world.one(), {STATE: "Pending"}, KEYS)
        assert world.pods.of(A) == ()
        assert world.gone == [A]


@virtual
async def test_a_refusal_without_a_cause_is_no_endless_loop() -> None:
    world = World()
    async with world.watching(added("p", 3, **labelled()), complete(5)):
        world.kube.answers.extend([refusal(422, content_type=JSON_PATCH), item("p", 3, **labelled())])
        with pytest.raises(TransientError, match="RecordRefused"):
            await world.pods.write(world.one(), {STATE: "Pending"}, KEYS)


@pytest.mark.parametrize("kept", [{}, {STATE: "Pend"}, {STATE: "Pending", SINCE: "now"}])
@virtual
async def test_annotations_that_a_policy_does_not_keep_as_written_are_told_and_not_written_again_at_once(
    kept: dict[str, str],
) -> None:
    world = World()
    async with world.watching(added("p", 3, **labelled()), complete(5)):
        world.kube.answers.append(item("p", 8, **labelled(annotations=kept)))
        with pytest.raises(TransientError, match=r"RecordRefused: .* keep .* Look for an admission policy"):
            await world.pods.write(world.one(), {STATE: "Pending"}, {STATE, SINCE})
        assert world.one().annotations == kept


def pods_page(version: int, *items: Object, following: str = "") -> Object:
    return listed(version, *items, following=following)


@virtual
async def test_life_is_read_from_the_server_by_the_hash_label_alone() -> None:
    world = World()
    dying = item("q", 4, **labelled(B, **GOING))
    world.kube.answers.extend([pods_page(9, item("p", 3, **labelled()), following="n"), pods_page(9, dying)])
    assert await world.pods.live({A, B}) == {A}
    # Neither an old version nor a limit: the one may be out of date, the other is slow on older servers.
    assert world.kube.asked[0].query == {"labelSelector": f"{HASH_LABEL} in ({A},{B})"}
    assert world.kube.asked[1].query["continue"] == "n", "cut short all the same"


@virtual
async def test_as_many_as_are_asked_about_at_once_fit_into_an_address_that_proxies_take() -> None:
    world = World()
    world.kube.answers.append(pods_page(9))
    await world.pods.live([f"{number:012x}" for number in range(SELECTABLE)])
    assert len(urlencode(world.kube.asked[0].query)) < 2000


@virtual
async def test_a_live_read_that_fails_proves_nothing() -> None:
    world = World()
    world.kube.answers.extend([pods_page(9, following="n"), refusal(410)])
    with pytest.raises(TransientError):
        await world.pods.live({A})


@virtual
@pytest.mark.parametrize("answer", [{"status": "ok"}, {"items": "none"}, {"kind": "Status"}])
async def test_an_answer_that_is_no_list_does_not_say_that_nobody_lives(answer: Object) -> None:
    world = World()
    world.kube.answers.append(answer)
    with pytest.raises(TransientError, match="no list"):
        await world.pods.live([A])
