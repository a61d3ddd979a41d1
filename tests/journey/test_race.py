"""Two replicas, fifty sessions that come and go, and a leader that dies in the middle of it."""

import asyncio
from collections.abc import Sequence

import aiohttp
import pytest

from controller.background import background
from sandbox.cloudflare.world import TOKEN
from sandbox.stage import Stage
from tests.journey import play
from tests.journey.conftest import POD_SECRET
from tests.journey.exact import assert_exact

pytestmark = pytest.mark.usefixtures("untouched")

SESSIONS = play.hashes(50)
DELETED, RECREATED = SESSIONS[::2], SESSIONS[::6]
LATENCY = 0.05  # seconds a Cloudflare call: slow enough to be killed in the middle of one


async def test_after_a_race_and_a_kill_the_world_is_exactly_what_it_should_be(stage: Stage) -> None:
    stage.switchboard.latency = LATENCY
    for name in ("operator-a", "operator-b"):
        await stage.start(name)
    victim = await play.leader(stage)
    async with background(lambda: _touch(stage)):
        await asyncio.gather(_come_and_go(stage), _kill_in_the_middle(stage, victim.name))
        going = await _going_beside_a_new_one(stage)
        live = {*SESSIONS} - {*DELETED} | {*RECREATED, going}
        await play.ready(stage, *live, within=60)
        await play.until(lambda: _is_swept(stage, live), "the deleted ones are gone", within=60)
    await assert_exact(stage, live)
    assert (await stage.visit(going))[0] == 200
    await _assert_no_secret(stage)


async def test_two_replicas_tear_everything_down_while_the_leader_is_killed(stage: Stage) -> None:
    stage.switchboard.latency = LATENCY
    for name in ("operator-a", "operator-b"):
        await stage.start(name)
    for session in SESSIONS:
        await stage.kube.create_session(session)
    await play.ready(stage, *SESSIONS, within=60)
    victim = await play.leader(stage)
    await asyncio.gather(_delete(stage, SESSIONS), _kill_in_the_middle(stage, victim.name))
    await play.clean(stage, within=60)


async def _come_and_go(stage: Stage) -> None:
    for session in SESSIONS:
        await stage.kube.create_session(session)
        if session in DELETED:
            await stage.kube.delete_session(session)
        if session in RECREATED:
            await stage.kube.create_session(session)
    # A second round, on sessions that are somewhere on their way by now.
    for session in RECREATED:
        await stage.kube.delete_session(session)
        await stage.kube.create_session(session)


async def _kill_in_the_middle(stage: Stage, name: str) -> None:
    """Kill the leader while a write is on its way, and start another as Kubernetes would."""
    written = len(stage.switchboard.calls)
    await play.until(lambda: _has_begun(stage, written), "the leader writes")
    victim = next(replica for replica in stage.operators if replica.name == name)
    await victim.kill()
    await stage.start("operator-c")


async def _has_begun(stage: Stage, written: int) -> bool:
    return any(call.method != "GET" and call.status is None for call in list(stage.switchboard.calls)[written:])


async def _going_beside_a_new_one(stage: Stage) -> str:
    """Its node stopped answering: the old Pod of a session goes for ever, and the router has made another."""
    (session,) = play.hashes(1, first=0xABCDEF)
    await stage.kube.create_session(session, node="node-lost")
    await play.ready(stage, session)
    await stage.kube.delete_session(session)
    pod = dict(stage.kube.pod(session))
    pod["metadata"] = {**pod["metadata"], "name": f"opencode-session-{session}-again"}
    await stage.kube.request("POST", play.PODS, pod)
    return session


async def _touch(stage: Stage) -> None:
    """The router writes when its sessions were last used."""
    for number in range(10_000):
        for pod in (await stage.kube.request("GET", play.PODS))["items"][:5]:
            body = {"metadata": {"annotations": {"opencode.ai/last-activity": str(number)}}}
            path = f"{play.PODS}/{pod['metadata']['name']}"
            try:
                await stage.kube.request("PATCH", path, body, "application/merge-patch+json")
            except RuntimeError:
                assert pod["metadata"]["labels"]  # it is gone meanwhile
        await asyncio.sleep(0.02)


async def _delete(stage: Stage, sessions: Sequence[str]) -> None:
    for session in sessions:
        await stage.kube.delete_session(session)


async def _is_swept(stage: Stage, live: set[str]) -> bool:
    return all(any(session in name for session in live) for name in await stage.left())


async def _assert_no_secret(stage: Stage) -> None:
    """Neither the token nor a Pod's secret is anywhere that people look."""
    texts = [replica.log.read_text() for replica in stage.operators]
    texts.append(str(await stage.kube.request("GET", play.EVENTS)))
    async with aiohttp.ClientSession() as http:
        for replica in stage.operators:
            for page in ("healthz", "metrics") if replica.is_running else ():
                async with http.get(f"http://127.0.0.1:{await replica.port()}/{page}") as reply:
                    assert reply.status == 200
                    texts.append(await reply.text())
    assert len(texts) == len(stage.operators) + 1 + 2 * (len(stage.operators) - 1)
    for text in texts:
        assert text
        assert TOKEN not in text
        assert POD_SECRET not in text
