"""A leader that stops for a while, or that one side cannot hear: the other goes on, and the stale one does no harm. And
servers that stop under both."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.cluster.cutpoints.ground import CLOUDFLARE, KUBERNETES, Ground, ground, until, until_found
from tests.cluster.cutpoints.kinds import Kind
from tests.cluster.manifests import new_hash
from tests.cluster.site import Operator
from tests.controlplane import ControlPlane

DOCUMENT = Kind(CLOUDFLARE, "PUT", "/accounts/{id}/cfd_tunnel/{id}/configurations")
BATCH = Kind(CLOUDFLARE, "POST", "/zones/{id}/dns_records/batch")
ROUTES = "/apis/traefik.io/v1alpha1/namespaces/{namespace}/ingressroutes"
EVENT = Kind(KUBERNETES, "POST", "/apis/events.k8s.io/v1/namespaces/{namespace}/events")
ROUTE = Kind(KUBERNETES, "PATCH", ROUTES + "/opencode-session-{hash}-oc-app")


@pytest.fixture
async def here(cluster: ControlPlane, tmp_path: Path) -> AsyncIterator[Ground]:
    """Two operators that look at the world every second; nothing is left, and nothing foreign changed, in the end."""
    async with ground(cluster, tmp_path, RESYNC_INTERVAL="1", ORPHAN_GRACE="1") as running:
        await running.fill()
        nothing = running.picture(new_hash())
        yield running
        for session in running.site.records():
            await running.end(session)
        await running.looks_like(nothing, new_hash())


async def begun(here: Ground, count: int) -> list[str]:
    """So many new sessions, of which the first are on their way."""
    sessions = [new_hash() for _ in range(count)]
    await here.create(*sessions)
    await until_found(here.site.cloudflare.of_sessions, "the leader has begun")
    return sessions


async def test_a_leader_asleep_beyond_its_lease_wakes_up_as_a_standby(here: Ground) -> None:
    leader, other = here.replicas
    sessions = await begun(here, 20)
    leader.send(signal.SIGSTOP)
    await until(other.has_taken_over, "the other one leads")
    await here.ready(*sessions)
    leader.send(signal.SIGCONT)
    await leader.stops_leading()
    await here.ready(*sessions)


async def test_a_document_that_arrives_late_takes_rules_away_only_for_a_while(here: Ground) -> None:
    leader, other = here.replicas
    hold = leader.hold(DOCUMENT, 1, "before")
    first, second = new_hash(), new_hash()
    await here.create(first)
    await until(lambda: hold.is_reached, "the leader writes")
    leader.send(signal.SIGSTOP)
    await until(other.has_taken_over, "the other one leads")
    await here.create(second)
    await here.ready(first, second)
    wanted = here.picture(first)
    hold.release()  # it knows nothing of the second session
    await until(lambda: hold.is_answered, "the late document arrives")
    leader.send(signal.SIGCONT)
    await leader.stops_leading()
    await here.looks_like(wanted, first)
    await here.ready(first, second)


@pytest.mark.parametrize("kind", [BATCH, DOCUMENT, ROUTE], ids=["record", "rule", "route"])
async def test_what_arrives_late_for_a_session_that_is_gone_is_swept(here: Ground, kind: Kind) -> None:
    leader, other = here.replicas
    hold = leader.hold(kind, 1, "before")
    session = new_hash()
    await here.create(session)
    await until(lambda: hold.is_reached, "the leader writes")
    leader.send(signal.SIGSTOP)
    await until(other.has_taken_over, "the other one leads")
    await here.ready(session)
    await here.end(session)
    await here.clean()
    hold.release()
    await until(lambda: hold.is_answered, "the late request arrives")
    assert hold.call
    assert hold.call.status in (200, 201)  # it had its effect
    leader.send(signal.SIGCONT)
    await leader.stops_leading()
    await here.clean()


async def test_a_leader_that_the_api_server_cannot_hear_makes_way(here: Ground) -> None:
    leader, other = here.replicas
    hold = leader.hold(EVENT, 1, "before")
    before = await begun(here, 12)
    await until(lambda: hold.is_reached, "the leader posts an Event")
    hold.drop()
    leader.relays[KUBERNETES].stall()
    await leader.stops_leading()
    await until(other.has_taken_over, "the other one leads")
    during = new_hash()
    await here.create(during)
    await here.ready(*before, during)
    leader.relays[KUBERNETES].heal()  # what it had sent arrives now
    await here.ready(*before, during)
    assert leader.operator.health()["role"] == "standby"
    await tells_nothing(leader.operator)


async def test_a_leader_that_cannot_reach_cloudflare_says_so_and_catches_up(here: Ground) -> None:
    leader, _ = here.replicas
    before = await begun(here, 12)
    leader.relays[CLOUDFLARE].stall()
    during = new_hash()
    await here.create(during)

    def is_told() -> bool:
        record = here.site.records().get(during, {})
        return "CloudflareUnreachable" in record.get("last-error", "")

    await until_found(is_told, "the session says why it waits", here.site.records)
    assert "CloudflareUnreachable" in leader.operator.problems()
    leader.relays[CLOUDFLARE].heal()
    await here.ready(*before, during)

    def is_over() -> bool:
        # Its own late write may look like somebody else's: that stays told.
        return "CloudflareUnreachable" not in leader.operator.problems()

    await until_found(is_over, "the trouble is over", leader.operator.problems)


async def tells(operator: Operator, text: str) -> None:
    await until_found(lambda: text in operator.problems(), f"{operator.name} tells {text}", operator.problems)


async def tells_nothing(operator: Operator) -> None:
    await until_found(lambda: not operator.problems(), f"{operator.name} has no trouble", operator.problems)


async def kill_apiserver(here: Ground) -> None:
    """It stays away until both operators say so."""
    here.site.cluster.kill_apiserver()
    try:
        for replica in here.replicas:
            await tells(replica.operator, "KubernetesUnavailable")
    finally:
        here.site.cluster.start_apiserver()


async def kill_etcd(here: Ground) -> None:
    here.site.cluster.restart_etcd()


@pytest.mark.parametrize("kill", [kill_apiserver, kill_etcd])
async def test_a_server_that_is_killed_in_the_middle_of_a_burst_only_delays_it(
    here: Ground, kill: Callable[[Ground], Awaitable[None]]
) -> None:
    first = new_hash()
    await here.create(first)
    await here.ready(first)
    wanted = here.picture(first)
    before = await begun(here, 30)
    await kill(here)
    during = new_hash()
    await until_found(lambda: here.site.cluster.kubectl("get", "ns", check=False).returncode == 0, "the data is there")
    await here.create(during)
    await here.ready(first, *before, during)
    for replica in here.replicas:
        await tells_nothing(replica.operator)
    await here.end(*before, during)
    await here.looks_like(wanted, first)


async def test_a_namespace_that_goes_while_nobody_looks_is_left_to_a_person(here: Ground) -> None:
    sessions = [new_hash() for _ in range(7)]
    await here.create(*sessions)
    await here.ready(*sessions)
    for replica in here.replicas:
        replica.kill()
    here.replicas.clear()
    await here.lose_namespace(*sessions)
    await here.fill()
    await tells(here.replicas[0].operator, "SweepHeld: 7 of the sessions")
    assert len(here.site.left()) == 4 * len(sessions)
    await here.swept()
