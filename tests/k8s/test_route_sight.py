"""Which routes are ours, as wanted, missing or foreign, and since when that is proven."""

import asyncio
from dataclasses import replace

import pytest

from fsm.desired import desired
from fsm.observation import Status
from fsm.session import MANAGED_BY_LABEL, MANAGER, OWNER_LABEL
from k8s.client import Object
from tests.k8s.fake import bookmark, listed, refusal
from tests.k8s.routing import (
    APP,
    PROFILE,
    SIGN_IN,
    WANTED,
    A,
    World,
    as_applied,
    event,
    live,
    original,
    theirs,
)
from tests.k8s.virtual import now, virtual


@virtual
async def test_all_routes_are_watched_without_a_selector_and_others_are_not_kept() -> None:
    world = World()
    other = {"metadata": {"name": "grafana", "uid": "g", "resourceVersion": "3"}, "spec": {}}
    async with world.watching(other, live(APP, 4)):
        assert world.routes.sessions() == {A}
        assert len(world.routes.reflector.entries()) == 1
    assert "labelSelector" not in world.kube.opened[0].query


@virtual
async def test_nothing_is_known_before_the_first_list() -> None:
    world = World()
    assert world.status() is Status.UNKNOWN


@virtual
@pytest.mark.parametrize(
    ("there", "status", "ours"),
    [
        ((live(SIGN_IN, 4), live(APP, 5)), Status.PRESENT, (APP.name, SIGN_IN.name)),
        ((live(SIGN_IN, 4),), Status.MISSING, (SIGN_IN.name,)),
        ((), Status.MISSING, ()),
        ((live(SIGN_IN, 4), {**live(APP, 5), "spec": {"routes": []}}), Status.MISSING, (APP.name, SIGN_IN.name)),
        ((live(SIGN_IN, 4), live(APP, 5, deletionTimestamp="x")), Status.MISSING, (SIGN_IN.name,)),
        ((live(SIGN_IN, 4), original(APP, 5)), Status.MISSING, (SIGN_IN.name,)),
        ((live(SIGN_IN, 4), theirs(APP, 5, "old")), Status.MISSING, (APP.name, SIGN_IN.name)),
        ((live(SIGN_IN, 4), theirs(APP, 5)), Status.FOREIGN, (SIGN_IN.name,)),
        ((theirs(APP, 5, "other"),), Status.FOREIGN, ()),
        ((live(APP, 5, labels={MANAGED_BY_LABEL: MANAGER, OWNER_LABEL: "other"}),), Status.FOREIGN, ()),
    ],
)
async def test_sight_tells_ours_as_wanted_from_ours_and_from_foreign(
    there: tuple[Object, ...], status: Status, ours: tuple[str, ...]
) -> None:
    world = World()
    began = now()
    async with world.watching(*there):
        seen = world.routes.sight(A, WANTED)
        assert (seen.status, seen.ours) == (status, ours)
        assert seen.began == (now() if status is Status.FOREIGN else began)
        assert bool(seen.problem) == (status is Status.FOREIGN)


@virtual
async def test_a_conflict_names_the_route_and_what_a_person_can_do() -> None:
    world = World()
    async with world.watching(theirs(APP, 5, "other")):
        problem = world.routes.sight(A, WANTED).problem
    assert problem == (
        f"RouteConflict: IngressRoute routes/{APP.name} exists and belongs to owner other. "
        "Delete it, or add its owner to OWNER_ID_PREVIOUS if it may be taken over"
    )


@virtual
async def test_routes_of_an_older_suffix_are_ours_too() -> None:
    world = World()
    (left_over, _) = desired(A, replace(PROFILE, suffix="-older")).routes
    async with world.watching(live(SIGN_IN, 4), live(APP, 5), live(left_over, 6)):
        seen = world.routes.sight(A, WANTED)
        assert seen.status is Status.PRESENT
        assert left_over.name in seen.ours


@virtual
async def test_fields_that_only_others_set_are_no_drift() -> None:
    world = World()
    spec = {**APP.manifest["spec"], "tls": {}}
    labels = {**APP.manifest["metadata"]["labels"], "team": "x"}
    async with world.watching(live(SIGN_IN, 4), {**live(APP, 5, labels=labels), "spec": spec}):
        assert world.status() is Status.PRESENT


@virtual
@pytest.mark.parametrize(
    ("kind", "there", "status"),
    [
        ("DELETED", live(APP, 101), Status.MISSING),
        ("MODIFIED", {**live(APP, 101), "spec": {}}, Status.MISSING),
        ("MODIFIED", theirs(APP, 101), Status.FOREIGN),
    ],
)
async def test_drift_is_seen_by_its_event(kind: str, there: Object, status: Status) -> None:
    world = World()
    began = now()
    async with world.watching(live(SIGN_IN, 4), live(APP, 5), then=(5, event(kind, there))):
        assert world.status() is Status.PRESENT
        await asyncio.sleep(5)
        seen = world.routes.sight(A, WANTED)
        assert seen.status is status
        assert seen.began >= began + 5


@virtual
async def test_what_was_missing_from_the_start_is_drift_once_the_watch_was_heard_again() -> None:
    world = World()
    began = now()
    async with world.watching(live(SIGN_IN, 4), then=(60, bookmark(101))):
        assert world.routes.sight(A, WANTED).began == began
        await asyncio.sleep(60)
        seen = world.routes.sight(A, WANTED)
        assert (seen.status, seen.began) == (Status.MISSING, began + 60)


@virtual
async def test_a_foreign_route_is_no_fresh_news_while_the_watch_is_broken() -> None:
    world = World()
    began = now()
    async with world.watching(theirs(APP, 5), then=(5, refusal(500))):
        assert world.routes.sight(A, WANTED).began == now()
        await asyncio.sleep(20)
        assert world.routes.sight(A, WANTED).began == began


@virtual
async def test_a_session_is_proven_as_late_as_its_oldest_route() -> None:
    world = World()
    began = now()
    async with world.watching(live(SIGN_IN, 4), live(APP, 5)):
        world.kube.answers.append(as_applied(5))
        await world.routes.ensure((APP,), now())
        assert world.routes.sight(A, WANTED).began == began
        assert world.routes.sight(A, (APP,)).began == now()


@virtual
async def test_good_news_by_an_event_proves_nothing_for_a_pod_seen_after_the_list() -> None:
    world = World()
    began = now()
    async with world.watching(live(SIGN_IN, 4), then=(5, event("ADDED", live(APP, 101)))):
        await asyncio.sleep(5)
        seen = world.routes.sight(A, WANTED)
        assert (seen.status, seen.began) == (Status.PRESENT, began)


@virtual
@pytest.mark.parametrize("listed_too", [True, False], ids=["an older state of it", "nothing of it yet"])
async def test_a_list_that_an_event_has_overtaken_still_proves_what_is_known(listed_too: bool) -> None:
    world = World()
    newer = event("MODIFIED", live(APP, 200, annotations={"x": "y"}))
    async with world.watching(live(SIGN_IN, 10), *([live(APP, 11)] if listed_too else []), then=(5, newer)):
        await asyncio.sleep(3)
        since = now()

        async def slow(*_: object, **__: object) -> Object:
            await asyncio.sleep(4)
            return listed(150, live(SIGN_IN, 10), *([live(APP, 11)] if listed_too else []))

        world.kube.request = slow  # type: ignore[method-assign]  # in the place of the script: an answer that is late
        await world.routes.look(since)
        seen = world.routes.sight(A, WANTED)
        assert (seen.status, seen.began) == (Status.PRESENT, since)
