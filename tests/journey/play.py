"""What every journey asks and waits for: the operators are processes, so all there is to see is what they did.

Tests in this folder get a `stage` (both APIs, the edge, a router stub) from `conftest`, start operators on it, and play
the router, a person with kubectl, or somebody else with a Cloudflare token.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from controller.background import background
from fsm.session import HASH_LABEL, Profile
from sandbox.cloudflare.switchboard import Call
from sandbox.kubeclient import NAMESPACE, ours
from sandbox.operators import Replica
from sandbox.stage import DOMAIN, SUFFIX, Stage

_T = TypeVar("_T")

HASH = "8b6cc2aa9a45"
OTHER = "1f0e9d8c7b6a"
HOST = f"{HASH}{SUFFIX}.{DOMAIN}"
JOURNEY = ["Pending", "DnsCreated", "TunnelRuleAdded", "RoutesCreated", "Ready"]
EVENTS = f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
ROUTES = f"/apis/traefik.io/v1alpha1/namespaces/{NAMESPACE}/ingressroutes"
CONFIGURATION = ".*/configurations"  # Cloudflare's path of the tunnel's document
BATCH = ".*/dns_records/batch"
NOW = "2026-02-02T00:00:00Z"  # when somebody else wrote something
WITHIN = 30.0  # seconds until a test gives up; no test waits for less, or for a time at all
LOOK = 0.05  # seconds between two looks


def hashes(count: int, *, first: int = 0) -> list[str]:
    """So many session hashes."""
    return [f"{first + number:012x}" for number in range(count)]


def host(session: str) -> str:
    """The session's hostname."""
    return f"{session}{SUFFIX}.{DOMAIN}"


def target(stage: Stage) -> str:
    """What a session's record points at."""
    return f"{stage.world.tunnel_id}.cfargotunnel.com"


def profile(stage: Stage) -> Profile:
    """What the operators of this stage are to make of a session."""
    return Profile(
        domain=DOMAIN,
        suffix=SUFFIX,
        service=stage.router,
        tunnel_target=target(stage),
        route_namespace=NAMESPACE,
        router_service="opencode-router",
        middleware="opencode-router-oauth2-chain",
        owner=NAMESPACE,
    )


async def until(look: Callable[[], Awaitable[_T]], what: str, *, within: float = WITHIN) -> _T:
    """What `look` finds, as soon as it is anything; an AssertionError that tells what it found last otherwise."""
    found: object = None
    try:
        async with asyncio.timeout(within):
            while not (found := await look()):
                await asyncio.sleep(LOOK)
            return found
    except TimeoutError:
        raise AssertionError(f"not within {within:.0f} s: {what}; last seen: {found}") from None


async def ready(stage: Stage, *sessions: str, within: float = WITHIN) -> None:
    """Wait until all of these sessions are Ready and nothing is in their way."""

    async def look() -> bool:
        found = await stage.kube.annotations()
        mine = [found.get(session, {}) for session in sessions]
        return all(texts.get("state") == "Ready" and "last-error" not in texts for texts in mine)

    try:
        await until(look, f"{len(sessions)} sessions are Ready", within=within)
    except AssertionError as error:
        raise AssertionError(f"{error}: {await stage.kube.annotations()}") from None


async def told(stage: Stage, session: str, text: str, *, within: float = WITHIN) -> Mapping[str, str]:
    """Wait until `last-error` of the session's Pod contains `text`; all of our annotations then."""

    async def look() -> Mapping[str, str] | None:
        texts = (await stage.kube.annotations()).get(session, {})
        return texts if text in texts.get("last-error", "") else None

    try:
        found = await until(look, f"last-error: {text}", within=within)
    except AssertionError as error:
        raise AssertionError(f"{error}: {await stage.kube.annotations()}") from None
    assert found is not None
    return found


async def clean(stage: Stage, *, within: float = WITHIN) -> None:
    """Wait until nothing of any session is left anywhere."""

    async def look() -> bool:
        return not await stage.left()

    try:
        await until(look, "nothing is left", within=within)
    except AssertionError as error:
        raise AssertionError(f"{error}: {await stage.left()}") from None


async def news(stage: Stage, session: str, reason: str) -> Mapping[str, Any]:
    """The Event with this reason about the session's Pod, once there is one."""

    async def look() -> Mapping[str, Any] | None:
        found = await stage.kube.events(f"opencode-session-{session}")
        return next((event for event in found if event["reason"] == reason), None)

    found = await until(look, f"an Event {reason} about {session}")
    assert found is not None
    return found


async def problem(replica: Replica, text: str, *, within: float = WITHIN) -> str:
    """Wait until `/healthz` (which has to stay 200) tells a problem that contains `text`; the whole problem."""

    async def look() -> str:
        status, body = await replica.health()
        assert status == 200, body
        problems = body["problems"]
        assert isinstance(problems, dict)
        return next((each for each in problems.values() if text in each), "")

    return await until(look, f"/healthz of {replica.name} tells {text!r}", within=within)


async def no_problem(replica: Replica, *, within: float = WITHIN) -> None:
    """Wait until `/healthz` knows of nothing that is wrong."""

    async def look() -> bool:
        status, body = await replica.health()
        assert status == 200, body
        return not body["problems"]

    await until(look, f"/healthz of {replica.name} tells no problem", within=within)


async def leader(stage: Stage) -> Replica:
    """Whoever leads, once somebody does."""
    found = await until(stage.leader, "somebody leads")
    assert found is not None
    return found


async def started(stage: Stage, name: str = "", **changes: str) -> Replica:
    """An operator that leads; each has a name, and so a log, of its own."""
    replica = await stage.start(name or f"operator-{len(stage.operators)}", **changes)

    async def leads() -> bool:
        return await stage.leader() is replica

    try:
        await until(leads, f"{replica.name} leads")
    except AssertionError as error:
        raise AssertionError(f"{error}: {replica.log.read_text()[-2000:]}") from None
    return replica


async def looked(stage: Stage, times: int) -> None:
    """Wait until operators have looked at the tunnel so many times more: whatever they wanted to do, they did."""
    before = len(calls_of(stage, "GET", "/configurations"))

    async def look() -> bool:
        return len(calls_of(stage, "GET", "/configurations")) >= before + times

    await until(look, f"{times} more looks")


async def disturb(stage: Stage, *rules: Mapping[str, Any]) -> None:
    """These faults, and no others, on the Kubernetes API."""
    await stage.kube.request("PUT", "/_sandbox/faults", list(rules))


async def set_kubernetes(stage: Stage, **settings: Any) -> None:
    """Change settings of the Kubernetes API: `down`, for one."""
    await stage.kube.request("PATCH", "/_sandbox/settings", settings)


def calls_of(stage: Stage, method: str, kind: str = "") -> list[Call]:
    """The calls to Cloudflare with this method, whose path ends like this."""
    return [call for call in stage.switchboard.calls if call.method == method and call.path.endswith(kind)]


def writes(stage: Stage) -> list[Call]:
    """The calls to Cloudflare that were to change something."""
    return [call for call in stage.switchboard.calls if call.method != "GET"]


class Diary:
    """What a watch of the session Pods told: the states of each session in order, and each whole record."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.states: dict[str, list[str]] = defaultdict(list)
        self.records: dict[str, list[Mapping[str, str]]] = defaultdict(list)

    async def write(self) -> None:
        """Follow the watch; returns only when it ends."""
        async for pod in self._stage.kube.watch():
            session, texts = pod["metadata"]["labels"][HASH_LABEL], ours(pod)
            if texts and self.records[session][-1:] != [texts]:
                self.records[session].append(texts)
            if self.states[session][-1:] != [texts.get("state")] and "state" in texts:
                self.states[session].append(texts["state"])


@asynccontextmanager
async def diary(stage: Stage) -> AsyncIterator[Diary]:
    """A diary that is written during the block."""
    book = Diary(stage)
    async with background(book.write):
        yield book
