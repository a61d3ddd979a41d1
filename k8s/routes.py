"""The IngressRoutes: watched whole in their namespace, applied and removed for one session at a time.

`controller.reconcile` asks `sight`; `controller.perform` calls `look`, `ensure` and `remove`. Without a label selector:
a foreign route of a wanted name has to be seen before anything is made. Written by server-side apply; a write's reply
goes into the cache at once, so that no look is needed after it.
"""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Set

from fsm.desired import ROUTE_API, Route
from fsm.errors import GoneError, NotLeadingError, SharedError, StaleError, TransientError
from fsm.observation import NEVER, Sight, Status
from fsm.session import MANAGER, hash_of_route
from k8s import route_facts
from k8s.cache import Change, Entry
from k8s.client import Kube, Object
from k8s.reflector import Reflector
from k8s.route_facts import Ownership, RouteFacts

# A thousand at a time would stand in front of the lease's renewal in the queue for a connection.
CONCURRENT_WRITES = 16
PROOF = 5.0  # seconds from the question whether the session has a live Pod, in which its answer may be relied on
# Sent as JSON, which is YAML.
_APPLY = "application/apply-patch+yaml"

Living = Callable[[Collection[str], float], Awaitable[Mapping[str, bool]]]


class Routes:
    """`controller.ports.Routes`. `owners`: our owner id first, then the previous ones that count as ours.

    `remaining()` is the leadership's: no write begins with less than `time_limit` seconds on the lease.
    `on_change(session)` follows each change of a route of a session's name, `on_recovered()` the end of whatever was in
    the way of the watch. `reflector.run()` has to run.
    """

    def __init__(
        self,
        kube: Kube,
        *,
        namespace: str,
        owners: tuple[str, ...],
        living: Living,
        remaining: Callable[[], float],
        now: Callable[[], float],
        on_change: Callable[[str], None],
        on_recovered: Callable[[], None],
        time_limit: float = 10.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._path = f"/apis/{ROUTE_API}/namespaces/{namespace}/ingressroutes"
        self._owners = owners
        self._manager = f"{MANAGER}.{owners[0]}"
        self._living = living
        self._remaining = remaining
        self._now = now
        self._on_change = on_change
        self._time_limit = time_limit
        self._turns = asyncio.Semaphore(CONCURRENT_WRITES)
        self._names: dict[str, set[str]] = {}
        # What the server makes of a manifest, where that is more (defaults of the CRD): without it, such a route
        # would be applied again for ever. Wanted digest by name, and the digest that came back.
        self._accepted: dict[str, tuple[str, str]] = {}
        # By session and name: a write whose outcome is not known, and when we gave up waiting for it.
        self._doubts: dict[str, dict[str, float]] = {}
        self.reflector: Reflector[RouteFacts] = Reflector(
            kube,
            self._path,
            parse=lambda item, _: route_facts.parse(item),
            on_change=self._changed,
            on_recovered=on_recovered,
            now=now,
            jitter=jitter,
        )

    def sight(self, session: str, wanted: tuple[Route, ...]) -> Sight:
        """What was last seen of `wanted`, and of every other route of this session that is ours."""
        ours = tuple(entry.facts.name for entry in self._ours(session))
        if not self.reflector.synced.is_set() or self._is_doubtful(session):
            return Sight(Status.UNKNOWN, ours=ours)
        seen = [self._seen(route) for route in wanted]
        # The worst part speaks for the session; bad news by its newest evidence, good news by its oldest.
        foreign = [sight for sight in seen if sight.status is Status.FOREIGN]
        missing = [sight for sight in seen if sight.status is Status.MISSING]
        if worst := foreign or missing:
            news = max(worst, key=lambda sight: sight.began)
            return Sight(news.status, news.began, news.problem, ours)
        return Sight(Status.PRESENT, min((sight.began for sight in seen), default=NEVER), ours=ours)

    def sessions(self) -> Set[str]:
        """The hashes of which a route of ours was seen."""
        return frozenset(session for session in self._names if self._ours(session))

    async def look(self, since: float) -> None:
        """Return once a list of all routes that began at or after `since`, and after every doubt, is in the cache."""
        doubts = (at for names in self._doubts.values() for at in names.values())
        await self.reflector.look(max(since, max(doubts, default=NEVER)))

    async def settle(self) -> None:
        """Look, if a write is in doubt whose session may have no reason to ask: who is Ready stays as it is then."""
        if any(self._is_doubtful(session) for session in tuple(self._doubts)):
            await self.look(NEVER)

    async def ensure(self, routes: tuple[Route, ...], since: float) -> None:
        """Make the routes exist as wanted and carry our mark; evidence older than `since` is not enough.

        Raises:
            ConflictError: a route of the name is foreign; it was not touched.
            StaleError: somebody changed it meanwhile; the cache holds what is there.
            NotLeadingError: the lease is too short for a write.
        """
        for route in routes:
            seen = self._seen(route)
            doubt = self._doubts.get(_session(route.name), {}).get(route.name, NEVER)
            if seen.status is not Status.PRESENT or seen.began < max(since, doubt):
                await self._apply(route)

    async def remove(self, session: str, keep: tuple[str, ...]) -> None:
        """Remove the routes of this session that are ours, but for the names in `keep`.

        Raises:
            StaleError: nothing is kept and the hash has a live Pod, or somebody changed a route meanwhile.
            TransientError: also when nobody could tell in time whether it has one.
            NotLeadingError: the lease is too short for a write.
        """
        if not self.reflector.synced.is_set() or self._is_doubtful(session):
            await self.look(self._now())
        # From the question on: an answer that took its time says what was true when it was asked.
        before = math.inf if keep else self._now() + PROOF
        if not keep and (await self._living((session,), PROOF))[session]:
            raise StaleError("SessionLives", "the session has a live Pod again")
        for entry in self._ours(session):
            if entry.facts.name not in keep:
                await self._delete(entry, before)

    def _ours(self, session: str) -> list[Entry[RouteFacts]]:
        """What may be removed: with our mark (one without owner may be a live session's of another operator, whose Pods
        we cannot see), and not on its way already (a finalizer may keep it for ever)."""
        entries = (self.reflector.get(name) for name in sorted(self._names.get(session, ())))
        return [entry for entry in entries if entry and self._is_ours(entry.facts) and not entry.facts.deleting]

    def _is_ours(self, facts: RouteFacts) -> bool:
        return route_facts.ownership(facts, self._owners) is Ownership.OURS

    def _is_foreign(self, facts: RouteFacts) -> bool:
        return route_facts.ownership(facts, self._owners) is Ownership.FOREIGN

    def _seen(self, route: Route) -> Sight:
        """One route: good news counts from its proof, bad news from when the watch was last heard (`k8s.cache`)."""
        entry = self.reflector.get(route.name)
        if entry is None:
            return Sight(Status.MISSING, self._heard(self.reflector.missing_since(route.name)))
        if self._is_foreign(entry.facts):
            # Believed at once, also for a Pod that is younger than the last word of the watch: nothing may be made
            # for a session whose name is taken, and when the stranger goes, an event says so.
            began = entry.heard if self.reflector.problem else self._now()
            return Sight(Status.FOREIGN, began, str(route_facts.conflict(entry.facts, self._namespace)))
        if self._is_as_wanted(route, entry):
            return Sight(Status.PRESENT, entry.began)
        return Sight(Status.MISSING, self._heard(entry.heard))

    def _heard(self, news: float) -> float:
        """Events come in order: what was not refuted when the watch was last heard was still so then."""
        return max(news, self.reflector.last_sync or NEVER)

    def _is_as_wanted(self, route: Route, entry: Entry[RouteFacts]) -> bool:
        wanted = route_facts.digest(route.manifest)
        accepted = entry.facts.digest == wanted or self._accepted.get(route.name) == (wanted, entry.facts.digest)
        return accepted and not entry.facts.deleting

    def _is_doubtful(self, session: str) -> bool:
        """Whether a route of the session was not read since a write of it was given up."""
        # What was settled once is forgotten: a stranger's object of the name, heard of later, would bring the doubt
        # back, and a Ready session that is in doubt never noticed the stranger.
        left = {name: at for name, at in self._doubts.pop(session, {}).items() if self._last_read(name) < at}
        if left:
            self._doubts[session] = left
        return bool(left)

    def _doubt(self, name: str) -> None:
        self._doubts.setdefault(_session(name), {})[name] = self._now()

    def _last_read(self, name: str) -> float:
        entry = self.reflector.get(name)
        return entry.began if entry else self.reflector.missing_since(name)

    async def _apply(self, route: Route) -> None:
        # The watch finds out when the kind is there, for everybody at once.
        if isinstance(self.reflector.problem, SharedError):
            raise self.reflector.problem.with_traceback(None)
        known = self.reflector.get(route.name)
        if known and self._is_foreign(known.facts):
            raise route_facts.conflict(known.facts, self._namespace)
        # Ours is taken by force, but only in the version that we know. Where nothing is known, no force: what a
        # stranger made meanwhile then answers 409 and stays as it is. Another owner id is a stranger, too.
        force: tuple[tuple[str, str], ...] = (("force", "true"),) if known else ()
        body = dict(route.manifest)
        if known:
            body["metadata"] = {**body["metadata"], "resourceVersion": str(known.version)}
        query = (("fieldManager", self._manager), *force)
        began = self._now()
        reply = await self._write("PATCH", route.name, body=body, content_type=_APPLY, query=query)
        self.reflector.offer(reply, began)
        # Of the reply itself: what the cache holds by now may be somebody's edit of what we have just written.
        self._accept(route, route_facts.parse(reply))

    def _accept(self, route: Route, facts: RouteFacts | None) -> None:
        if facts is None or facts.deleting:
            raise TransientError("RouteBeingDeleted", f"IngressRoute {self._namespace}/{route.name} is being deleted")
        wanted = route_facts.digest(route.manifest)
        if facts.digest != wanted:
            self._accepted[route.name] = (wanted, facts.digest)

    async def _delete(self, entry: Entry[RouteFacts], before: float) -> None:
        facts, began = entry.facts, self._now()
        body = {"preconditions": {"uid": facts.uid, "resourceVersion": str(entry.version)}}
        try:
            reply = await self._write("DELETE", facts.name, body=body, before=before)
        except GoneError:
            return
        if reply.get("kind") == "Status":
            self.reflector.forget(facts.name, facts.uid, began)
        else:
            self.reflector.offer(reply, began)

    async def _write(
        self,
        method: str,
        name: str,
        *,
        body: Object,
        content_type: str | None = None,
        query: tuple[tuple[str, str], ...] = (),
        before: float = math.inf,
    ) -> Object:
        """One write that begins by `before`; whatever goes wrong, the cache then holds what is there, or the name is in
        doubt."""
        path = f"{self._path}/{name}"
        async with self._turns:
            if self._remaining() <= self._time_limit:
                raise NotLeadingError
            if self._now() > before:
                raise StaleError("TooLate", "the session may have a live Pod again since it was asked for")
            try:
                return await self._kube.request(
                    method, path, body=body, content_type=content_type, query=query, timeout=self._time_limit
                )
            except (StaleError, GoneError):
                await self._reread(name)
                raise
            except TransientError:
                self._doubt(name)
                raise

    async def _reread(self, name: str) -> None:
        """Put what is there into the cache, and say so when it is foreign."""
        known, began = self.reflector.get(name), self._now()
        try:
            reply = await self._kube.request("GET", f"{self._path}/{name}", timeout=self._time_limit)
        except GoneError:
            if known:
                self.reflector.forget(name, known.facts.uid, began)
            return
        facts = self.reflector.offer(reply, began)
        if facts and self._is_foreign(facts):
            raise route_facts.conflict(facts, self._namespace)

    def _changed(self, change: Change[RouteFacts]) -> None:
        if change.old and not change.new:
            self._names[change.old.session].discard(change.old.name)
            if not self._names[change.old.session]:
                del self._names[change.old.session]
            self._accepted.pop(change.old.name, None)
        if change.new:
            self._names.setdefault(change.new.session, set()).add(change.new.name)
        for session in {facts.session for facts in (change.old, change.new) if facts}:
            self._on_change(session)


def _session(name: str) -> str:
    return hash_of_route(name) or ""
