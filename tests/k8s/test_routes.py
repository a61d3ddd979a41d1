"""Which routes are ours, what is applied and removed, and what nobody touches."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from fsm.desired import Route, desired
from fsm.errors import ConflictError, NotLeadingError, PermanentError, StaleError, TransientError
from fsm.observation import Status
from fsm.session import MANAGED_BY_LABEL, MANAGER, OWNER_LABEL, Profile
from k8s.client import Object
from k8s.routes import Routes
from tests.k8s.fake import SILENCE, Asked, FakeKube, bookmark, complete, listed, refusal
from tests.k8s.virtual import now, virtual

A = "aaaaaaaaaaaa"
PATH = "/apis/traefik.io/v1alpha1/namespaces/routes/ingressroutes"
PROFILE = Profile(
    domain="example.org",
    suffix="-oc",
    service="http://router:80",
    tunnel_target="t.cfargotunnel.com",
    route_namespace="routes",
    router_service="router",
    middleware="chain",
    owner="me",
    previous_owners=("old",),
)
WANTED = desired(A, PROFILE).routes
SIGN_IN, APP = WANTED


def live(route: Route, version: int, *, labels: dict[str, Any] | None = None, **rest: Any) -> Object:
    metadata = {**route.manifest["metadata"], "uid": f"uid-{route.name}", "resourceVersion": str(version), **rest}
    if labels is not None:
        metadata["labels"] = labels
    return {**route.manifest, "metadata": metadata}


def theirs(route: Route, version: int, owner: str | None = None) -> Object:
    return live(route, version, labels={"team": "x"} | ({OWNER_LABEL: owner} if owner else {}))


def original(route: Route, version: int) -> Object:
    return live(route, version, labels={MANAGED_BY_LABEL: MANAGER})


def event(kind: str, thing: Object) -> Object:
    return {"type": kind, "object": thing}


def conflicting() -> Exception:
    return refusal(409, PATH + "/x", "PATCH")


def gone() -> Exception:
    return refusal(404, PATH + "/x", body={"details": {"name": "x", "kind": "ingressroutes"}})


class World:
    def __init__(self) -> None:
        self.kube = FakeKube()
        self.alive: set[str] = set()
        self.left = 100.0
        self.told: list[str] = []
        self.routes = Routes(
            self.kube,
            namespace="routes",
            owners=("me", "old"),
            living=self._living,
            remaining=lambda: self.left,
            now=now,
            on_change=self.told.append,
        )

    async def _living(self, sessions: Collection[str]) -> set[str]:
        return self.alive & set(sessions)

    @asynccontextmanager
    async def watching(self, *there: Object, then: tuple[Any, ...] = ()) -> AsyncIterator[None]:
        self.kube.streams.append([*(event("ADDED", thing) for thing in there), complete(100), *then, SILENCE])
        task = asyncio.create_task(self.routes.reflector.run())
        await asyncio.sleep(1)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    def status(self) -> Status:
        return self.routes.sight(A, WANTED).status

    def writes(self) -> list[Asked]:
        return [asked for asked in self.kube.asked if asked.method != "GET"]


def as_applied(version: int) -> Any:
    def answer(asked: Asked) -> Object:
        body = asked.body
        metadata = {**body["metadata"], "uid": f"uid-{body['metadata']['name']}", "resourceVersion": str(version)}
        return {**body, "metadata": metadata}

    return answer


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
        ((live(SIGN_IN, 4), live(APP, 5, deletionTimestamp="x")), Status.MISSING, (APP.name, SIGN_IN.name)),
        ((live(SIGN_IN, 4), original(APP, 5)), Status.MISSING, (APP.name, SIGN_IN.name)),
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
        "delete it, or add its owner to OWNER_ID_PREVIOUS if it may be taken over"
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
async def test_missing_routes_are_applied_without_force_and_known_at_once() -> None:
    world = World()
    async with world.watching():
        world.kube.answers.extend([as_applied(101), as_applied(102)])
        since = now()
        await world.routes.ensure(WANTED, since)
        seen = world.routes.sight(A, WANTED)
        assert (seen.status, seen.began) == (Status.PRESENT, since)
        assert world.told == [A, A]
        await world.routes.ensure(WANTED, since)
    first, second = world.kube.asked
    assert (first.method, first.path) == ("PATCH", f"{PATH}/{SIGN_IN.name}")
    assert first.content_type == "application/apply-patch+yaml"
    assert first.query == {"fieldManager": MANAGER}
    assert first.body == SIGN_IN.manifest
    assert second.body == APP.manifest


@virtual
async def test_evidence_that_is_too_old_is_renewed_by_applying_again() -> None:
    world = World()
    async with world.watching(live(SIGN_IN, 4), live(APP, 5)):
        world.kube.answers.extend([as_applied(4), as_applied(5)])
        await world.routes.ensure(WANTED, now())
        assert world.routes.sight(A, WANTED).began == now()
    assert len(world.writes()) == 2


@virtual
@pytest.mark.parametrize("there", [original(APP, 5), theirs(APP, 5, "old"), live(APP, 5, deletionTimestamp="x")])
async def test_what_is_ours_is_taken_by_force_but_only_in_the_version_that_was_seen(there: Object) -> None:
    world = World()
    async with world.watching(live(SIGN_IN, 4), there):
        world.kube.answers.append(as_applied(101))
        await world.routes.ensure(WANTED, 0.0)
        assert world.status() is Status.PRESENT
    (asked,) = world.writes()
    assert asked.query == {"fieldManager": MANAGER, "force": "true"}
    assert asked.body["metadata"]["resourceVersion"] == "5"


@virtual
async def test_a_foreign_route_is_never_touched() -> None:
    world = World()
    async with world.watching(theirs(SIGN_IN, 4)):
        with pytest.raises(ConflictError):
            await world.routes.ensure(WANTED, now())
        await world.routes.remove(A, ())
    assert world.writes() == []


@virtual
async def test_a_foreign_route_made_meanwhile_is_a_conflict_and_stays() -> None:
    world = World()
    async with world.watching():
        world.kube.answers.extend([conflicting(), theirs(SIGN_IN, 101)])
        with pytest.raises(ConflictError):
            await world.routes.ensure(WANTED, now())
        assert world.status() is Status.FOREIGN
    assert len(world.writes()) == 1


@virtual
@pytest.mark.parametrize("there", [original(SIGN_IN, 101), live(SIGN_IN, 101), gone()])
async def test_a_route_of_ours_changed_meanwhile_is_read_again_and_decided_again(there: Any) -> None:
    world = World()
    async with world.watching(live(SIGN_IN, 4, labels={OWNER_LABEL: "old"})):
        world.kube.answers.extend([conflicting(), there])
        with pytest.raises(StaleError):
            await world.routes.ensure(WANTED, now())
        entry = world.routes.reflector.get(SIGN_IN.name)
        assert (entry and entry.version) == (None if isinstance(there, Exception) else 101)


@virtual
async def test_defaults_that_the_server_adds_are_no_drift_and_a_change_after_that_is() -> None:
    world = World()

    def defaulted(asked: Asked) -> Object:
        reply: Object = as_applied(101)(asked)
        return {**reply, "spec": {**reply["spec"], "routes": [{**reply["spec"]["routes"][0], "syntax": "default"}]}}

    async with world.watching(live(SIGN_IN, 4)):
        world.kube.answers.append(defaulted)
        await world.routes.ensure(WANTED, 0.0)
        assert world.status() is Status.PRESENT
        world.routes.reflector.offer({**live(APP, 102), "spec": {"entryPoints": ["web"], "routes": []}}, now())
        assert world.status() is Status.MISSING


@virtual
async def test_fields_that_only_others_set_are_no_drift() -> None:
    world = World()
    spec = {**APP.manifest["spec"], "tls": {}}
    labels = {**APP.manifest["metadata"]["labels"], "team": "x"}
    async with world.watching(live(SIGN_IN, 4), {**live(APP, 5, labels=labels), "spec": spec}):
        assert world.status() is Status.PRESENT


@virtual
async def test_a_route_that_is_still_being_deleted_is_not_called_done() -> None:
    world = World()
    async with world.watching(live(SIGN_IN, 4)):
        world.kube.answers.append(live(APP, 101, deletionTimestamp="x"))
        with pytest.raises(TransientError, match="RouteBeingDeleted"):
            await world.routes.ensure(WANTED, 0.0)


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
async def test_no_write_begins_with_less_than_its_time_limit_on_the_lease() -> None:
    world = World()
    world.left = 10.0
    async with world.watching(live(SIGN_IN, 4)):
        with pytest.raises(NotLeadingError):
            await world.routes.ensure(WANTED, 0.0)
        with pytest.raises(NotLeadingError):
            await world.routes.remove(A, ())
    assert world.writes() == []


@virtual
async def test_removal_takes_what_is_ours_in_the_version_that_was_seen() -> None:
    world = World()
    async with world.watching(live(SIGN_IN, 4), original(APP, 5)):
        world.kube.answers.extend([{"kind": "Status", "status": "Success"}] * 2)
        await world.routes.remove(A, ())
        assert world.routes.sessions() == set()
        seen = world.routes.sight(A, WANTED)
        assert (seen.status, seen.ours, seen.began) == (Status.MISSING, (), now())
    first, second = world.writes()
    assert (first.method, first.path) == ("DELETE", f"{PATH}/{APP.name}")
    assert first.body == {"preconditions": {"uid": f"uid-{APP.name}", "resourceVersion": "5"}}
    assert second.body["preconditions"]["resourceVersion"] == "4"


@virtual
async def test_removal_keeps_what_it_is_told_to_keep_without_asking_who_lives() -> None:
    world = World()
    world.alive = {A}
    async with world.watching(live(SIGN_IN, 4), live(APP, 5)):
        world.kube.answers.append({"kind": "Status"})
        await world.routes.remove(A, (SIGN_IN.name,))
    assert [asked.path for asked in world.writes()] == [f"{PATH}/{APP.name}"]


@virtual
async def test_nothing_of_a_session_that_lives_is_removed() -> None:
    world = World()
    world.alive = {A}
    async with world.watching(live(SIGN_IN, 4)):
        with pytest.raises(StaleError):
            await world.routes.remove(A, ())
    assert world.writes() == []


@virtual
@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([gone(), gone()], None),
        ([conflicting(), live(APP, 101)], StaleError),
        ([conflicting(), theirs(APP, 101)], ConflictError),
    ],
)
async def test_a_route_that_changed_or_went_before_its_removal(
    answers: list[Any], error: type[Exception] | None
) -> None:
    world = World()
    async with world.watching(live(APP, 5)):
        world.kube.answers.extend(answers)
        if error:
            with pytest.raises(error):
                await world.routes.remove(A, ())
        else:
            await world.routes.remove(A, ())
            assert world.routes.sessions() == set()
    assert len(world.writes()) == 1


@virtual
async def test_a_finalizer_leaves_the_route_in_sight() -> None:
    world = World()
    async with world.watching(live(APP, 5)):
        world.kube.answers.append({**live(APP, 101, deletionTimestamp="x"), "kind": "IngressRoute"})
        await world.routes.remove(A, ())
        assert world.routes.sight(A, WANTED).ours == (APP.name,)


@virtual
async def test_a_write_without_an_answer_leaves_the_session_unknown_until_it_is_looked_at() -> None:
    world = World()
    async with world.watching(live(SIGN_IN, 4)):
        world.kube.answers.append(SILENCE)
        with pytest.raises(TransientError):
            await world.routes.ensure(WANTED, 0.0)
        assert world.status() is Status.UNKNOWN
        world.kube.answers.append(listed(103, live(SIGN_IN, 4), live(APP, 102)))
        await world.routes.look(now())
        assert world.status() is Status.PRESENT


@virtual
async def test_a_removal_looks_first_when_a_write_got_no_answer() -> None:
    world = World()
    async with world.watching(live(SIGN_IN, 4)):
        world.kube.answers.append(SILENCE)
        with pytest.raises(TransientError):
            await world.routes.ensure(WANTED, 0.0)
        done = {"kind": "Status"}
        world.kube.answers.extend([listed(103, live(SIGN_IN, 4), live(APP, 102)), done, done])
        await world.routes.remove(A, ())
        assert world.status() is Status.MISSING
    assert [asked.method for asked in world.kube.asked] == ["PATCH", "GET", "DELETE", "DELETE"]


@virtual
async def test_a_cluster_without_the_kind_says_what_to_install() -> None:
    world = World()
    world.kube.answers.append(refusal(404, PATH))
    with pytest.raises(PermanentError, match="RouteKindMissing"):
        await world.routes.look(now())
