"""A world at the controller's ports: just enough of two APIs to see what the controller asks for, and in which order.

Strictness lives elsewhere (the adapters' own tests, the contract suites); here every call is kept, every part can be
told to fail once, and a write of the record is a real compare-and-set.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from controller.memory import Memory
from controller.metrics import Metrics
from controller.perform import Performer
from controller.problems import Problems
from controller.reconcile import Reconciler, World
from controller.report import Reporter
from controller.witness import Witness
from fsm.desired import DnsRecord, Route, TunnelRule
from fsm.errors import GoneError, SessionError, StaleError
from fsm.observation import NEVER, PodFacts, Sight, Status
from fsm.session import Profile, hash_of_hostname, hash_of_route

HASH = "8b6cc2aa9a45"
HOST = f"{HASH}-oc.no-panic.org"
PROFILE = Profile(
    domain="no-panic.org",
    suffix="-oc",
    service="http://router:80",
    tunnel_target="t.cfargotunnel.com",
    route_namespace="opencode-router",
    router_service="opencode-router",
    middleware="chain",
    owner="opencode-router",
)


class FakeClock:
    """Monotonic and wall time, moved by hand."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time

    def wall(self) -> datetime:
        return datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=self.time)


class FakePods:
    def __init__(self, clock: FakeClock, calls: list[str]) -> None:
        self.clock = clock
        self.calls = calls
        self.pods: dict[str, PodFacts] = {}
        self.failures: deque[SessionError | Exception] = deque()
        self.before_write: Callable[[], None] = lambda: None

    def add(self, uid: str = "uid-1", session: str = HASH, **changes: object) -> PodFacts:
        pod = PodFacts(
            namespace="opencode-router",
            name=f"opencode-session-{session}",
            uid=uid,
            session=session,
            created="2026-11-23T00:00:00Z",
            deleting=False,
            resource_version="1",
            first_seen=self.clock(),
        )
        self.pods[uid] = replace(pod, **changes)  # type: ignore[arg-type]  # a builder's keyword arguments
        return self.pods[uid]

    def change(self, uid: str = "uid-1", **changes: object) -> None:
        self.pods[uid] = replace(self.pods[uid], **changes)  # type: ignore[arg-type]  # a builder's keyword arguments

    def annotation(self, key: str, uid: str = "uid-1") -> str | None:
        return self.pods[uid].annotations.get("cloudflare.opencode.ai/" + key)

    def of(self, session: str) -> tuple[PodFacts, ...]:
        return tuple(pod for pod in self.pods.values() if pod.session == session)

    def sessions(self) -> Set[str]:
        return {pod.session for pod in self.pods.values()}

    async def write(self, pod: PodFacts, texts: Mapping[str, str], keys: Collection[str]) -> PodFacts:
        self.calls.append(f"write {texts['cloudflare.opencode.ai/state']}")
        self.before_write()
        if self.failures:
            raise self.failures.popleft()
        if pod.uid not in self.pods:
            raise GoneError("PodGone", "the Pod is gone")
        present = self.pods[pod.uid]
        if any(present.annotations.get(key) != pod.annotations.get(key) for key in keys):
            raise StaleError("RecordChanged", "somebody else wrote it")
        kept = {key: text for key, text in present.annotations.items() if key not in keys}
        self.pods[pod.uid] = replace(present, annotations=kept | dict(texts))
        return self.pods[pod.uid]


class _Part:
    """Records, rules or routes: names that exist, seen at a time, told to fail when a test says so."""

    def __init__(self, kind: str, clock: FakeClock, calls: list[str]) -> None:
        self.kind = kind
        self.clock = clock
        self.calls = calls
        self.there: set[str] = set()
        self.foreign: dict[str, str] = {}
        self.began = NEVER
        self.known = False
        self.failures: deque[SessionError | Exception] = deque()

    def _sight(self, session: str, names: list[str], session_of: Callable[[str], str | None]) -> Sight:
        ours = tuple(sorted(name for name in self.there if session_of(name) == session))
        if not self.known:
            return Sight(Status.UNKNOWN)
        for name in names:
            if name in self.foreign:
                return Sight(Status.FOREIGN, self.began, self.foreign[name], ours)
        status = Status.PRESENT if all(name in self.there for name in names) else Status.MISSING
        return Sight(status, self.began, "", ours)

    async def look(self, since: float) -> None:
        self.calls.append(f"look {self.kind}")
        self._fail()
        self.known, self.began = True, max(self.clock(), since)

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.popleft()

    def _ensure(self, names: list[str]) -> None:
        self.calls.append(f"ensure {self.kind}")
        self._fail()
        self.there |= set(names)
        self.known, self.began = True, self.clock()

    def _remove(self, session: str, keep: tuple[str, ...], session_of: Callable[[str], str | None]) -> None:
        self.calls.append(f"remove {self.kind}")
        self._fail()
        self.there = {name for name in self.there if session_of(name) != session or name in keep}
        self.known, self.began = True, self.clock()


class FakeDns(_Part):
    def sight(self, session: str, wanted: tuple[DnsRecord, ...]) -> Sight:
        return self._sight(session, [record.name for record in wanted], hash_of_hostname)

    def sessions(self) -> Set[str]:
        return {session for name in self.there if (session := hash_of_hostname(name))}

    async def ensure(self, records: tuple[DnsRecord, ...], since: float) -> None:
        self._ensure([record.name for record in records])

    async def remove(self, session: str, keep: tuple[str, ...]) -> None:
        self._remove(session, keep, hash_of_hostname)


class FakeTunnel(_Part):
    recorded: tuple[TunnelRule, ...] = ()  # what was said to be ours when rules were removed

    def sight(self, session: str, wanted: tuple[TunnelRule, ...], recorded: tuple[TunnelRule, ...]) -> Sight:
        return self._sight(session, [rule.hostname for rule in wanted], hash_of_hostname)

    def sessions(self) -> Set[str]:
        return {session for name in self.there if (session := hash_of_hostname(name))}

    async def ensure(self, rules: tuple[TunnelRule, ...], recorded: tuple[TunnelRule, ...], since: float) -> None:
        self._ensure([rule.hostname for rule in rules])

    async def remove(self, session: str, keep: tuple[str, ...], recorded: tuple[TunnelRule, ...]) -> None:
        self.recorded += recorded
        self._remove(session, keep, hash_of_hostname)


class FakeRoutes(_Part):
    def sight(self, session: str, wanted: tuple[Route, ...]) -> Sight:
        return self._sight(session, [route.name for route in wanted], hash_of_route)

    def sessions(self) -> Set[str]:
        return {session for name in self.there if (session := hash_of_route(name))}

    async def settle(self) -> None:
        self.calls.append("settle routes")
        self._fail()

    async def ensure(self, routes: tuple[Route, ...], since: float) -> None:
        self._ensure([route.name for route in routes])

    async def remove(self, session: str, keep: tuple[str, ...]) -> None:
        self._remove(session, keep, hash_of_route)


class FakeEvents:
    def __init__(self) -> None:
        self.posted: list[tuple[str, str, bool]] = []
        self.is_deaf = False

    async def post(self, pod: PodFacts, *, reason: str, note: str, warning: bool) -> bool:
        if self.is_deaf:
            return False
        self.posted.append((reason, note, warning))
        return True


class FakeLease:
    def __init__(self) -> None:
        self.left = 15.0

    def remaining(self) -> float:
        return self.left


class NoCensus:
    def running(self) -> AbstractContextManager[None]:
        return nullcontext()


class Fixture:
    """A Reconciler on fakes; `calls` is the order of everything it asked for."""

    def __init__(self, profile: Profile = PROFILE) -> None:
        self.calls: list[str] = []
        self.clock = FakeClock()
        self.pods = FakePods(self.clock, self.calls)
        self.dns = FakeDns("dns", self.clock, self.calls)
        self.tunnel = FakeTunnel("rules", self.clock, self.calls)
        self.routes = FakeRoutes("routes", self.clock, self.calls)
        self.events = FakeEvents()
        self.lease = FakeLease()
        self.metrics = Metrics()
        self.problems = Problems()
        self.witness = Witness(self.clock)
        self.world = World(self.pods, self.dns, self.tunnel, self.routes)
        self.use(profile)

    def use(self, profile: Profile) -> None:
        """A new process, with this profile, in the same world."""
        self.memory = Memory()
        self.report = Reporter(self.events, self.metrics)
        self.reconcile = Reconciler(
            profile=profile,
            world=self.world,
            perform=Performer(self.dns, self.tunnel, self.routes),
            leadership=self.lease,
            witness=self.witness,
            memory=self.memory,
            report=self.report,
            problems=self.problems,
            wall=self.clock.wall,
            random=lambda: 0.5,
        )

    def looked(self) -> None:
        """Every part was looked at just now."""
        for part in (self.dns, self.tunnel, self.routes):
            part.known, part.began = True, self.clock()

    def all_there(self) -> None:
        """Everything of the session exists and was just seen."""
        self.dns.there.add(HOST)
        self.tunnel.there.add(HOST)
        self.routes.there |= {f"opencode-session-{HASH}-oc-signin", f"opencode-session-{HASH}-oc-app"}
        self.looked()
