"""Pods, observations and records for everybody's tests: each builder makes the plain case, keywords make it another.

pod(deleting=True)                          a session Pod that is going
seen(pod(), rules=missing())                one live Pod, all there and just seen but for the rule
seen(dns=unknown())                         no Pod any more
record(State.READY, attempts=3)             the Pod's record, readable and of the wanted hostname
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from fsm.desired import Desired, desired
from fsm.observation import NEVER, Observation, PodFacts, Sight, Status
from fsm.record import SessionRecord
from fsm.session import Profile
from fsm.states import State

HASH = "8b6cc2aa9a45"
NOW = datetime(2026, 11, 23, 2, 11, 9, tzinfo=UTC)
FIRST_SEEN = 100.0  # monotonic seconds at which the Pod appeared
STALE, FRESH = 50.0, 150.0  # a look that began before, and one after

PROFILE = Profile(
    domain="no-panic.org",
    suffix="-oc",
    service="http://opencode-router.opencode-router.svc.cluster.local:80",
    tunnel_target="01234567-89ab-cdef-0123-456789abcdef.cfargotunnel.com",
    route_namespace="opencode-router",
    router_service="opencode-router",
    middleware="opencode-router-oauth2-chain",
    owner="opencode-router",
)
WANTED = desired(HASH, PROFILE)
HOST = WANTED.hostname
OLD_HOST = f"{HASH}-old.no-panic.org"
ROUTES = tuple(route.name for route in WANTED.routes)


def pod(uid: str = "uid-1", **changes: Any) -> PodFacts:
    """A live session Pod without a record."""
    plain = PodFacts(
        namespace="opencode-router",
        name=f"opencode-session-{HASH}",
        uid=uid,
        session=HASH,
        created="2026-11-23T02:00:00Z",
        deleting=False,
        resource_version="1",
        first_seen=FIRST_SEEN,
    )
    return replace(plain, **changes)


def present(*ours: str, began: float = FRESH) -> Sight:
    """Exactly as wanted, and ours."""
    return Sight(Status.PRESENT, began, ours=ours)


def missing(*ours: str, began: float = FRESH) -> Sight:
    """Not there, or not as wanted; `ours` names what is left over."""
    return Sight(Status.MISSING, began, ours=ours)


def foreign(problem: str = "RecordConflict: it is somebody else's", *ours: str, began: float = FRESH) -> Sight:
    """Somebody else's object has the name."""
    return Sight(Status.FOREIGN, began, problem, ours)


def unknown(*ours: str) -> Sight:
    """No look yet, or a write whose outcome nobody knows."""
    return Sight(Status.UNKNOWN, NEVER, ours=ours)


def seen(
    *pods: PodFacts,
    dns: Sight | None = None,
    rules: Sight | None = None,
    routes: Sight | None = None,
    permitted: bool = False,
    wanted: Desired = WANTED,
) -> Observation:
    """What was seen of the session: with these Pods, and everything of it in place where nothing else is said."""
    return Observation(
        session=HASH,
        wanted=wanted,
        pods=pods,
        dns=dns or present(HOST),
        rules=rules or present(HOST),
        routes=routes or present(*ROUTES),
        permitted=permitted,
    )


def record(state: State = State.PENDING, **changes: Any) -> SessionRecord:
    """A record of the Pod `uid-1` in this state, with nothing in its way."""
    return replace(SessionRecord("uid-1", state, HOST, since=NOW), **changes)
