"""Orphans, the brake, and the command for people: what is removed has no Pod, and it is never too much at once."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from sandbox.operators import Replica
from sandbox.stage import DOMAIN, SUFFIX, Stage
from tests.journey import play

pytestmark = pytest.mark.usefixtures("untouched")

MANY = play.hashes(8)
HELD = (
    "SweepHeld: 8 of the sessions that we own have no Pod, too many to believe. Look at `opencode-cloudflare-operator "
    "sweep --dry-run`; if that is right, run `sweep --force`"
)


async def test_orphans_of_a_time_without_operators_are_swept_and_the_living_stay(stage: Stage) -> None:
    await _leave_orphans(stage, MANY, living=MANY[3:])
    await play.started(stage, RESYNC_INTERVAL="1", ORPHAN_GRACE="2")
    await play.until(lambda: _left(stage, MANY[3:]), "the three orphans are gone")
    await play.ready(stage, *MANY[3:])


async def test_the_brake_holds_a_mass_removal_and_a_forced_sweep_asks_the_leader(stage: Stage) -> None:
    await _leave_orphans(stage, MANY)
    before = await stage.left()
    operator = await play.started(stage, RESYNC_INTERVAL="1", ORPHAN_GRACE="1")
    assert await play.problem(operator, "SweepHeld") == HELD
    assert await _metric(operator, "sweep_held") == 8
    assert await stage.left() == before
    assert not play.calls_of(stage, "PUT")
    await stage.kube.request("DELETE", "/_sandbox/calls")
    code, out = await _sweep(stage, "--dry-run")
    assert (code, out.splitlines()) == (0, [*_listing(MANY), "8 of 8 sessions of ours have no Pod"])
    assert not play.writes(stage)
    assert {call["path"].rpartition("/")[0] for call in await _kubernetes_writes(stage)} <= {play.LEASES}
    code, out = await _sweep(stage, "--force")
    assert (code, out.splitlines()) == (0, [*MANY, "8 sessions released for removal"])
    await play.clean(stage)
    await play.no_problem(operator)


async def test_a_forced_sweep_without_a_leader_does_the_work_itself(stage: Stage) -> None:
    await _leave_orphans(stage, MANY[:7], living=MANY[:1])
    await stage.kube.request("DELETE", "/_sandbox/calls")
    code, out = await _sweep(stage, "--dry-run")
    assert (code, out.splitlines()) == (0, [*_listing(MANY[1:7]), "6 of 7 sessions of ours have no Pod"])
    assert not play.writes(stage)
    assert not await _kubernetes_writes(stage)
    code, out = await _sweep(stage, "--force")
    assert (code, out.splitlines()) == (0, [*MANY[1:7], "6 sessions released for removal"])
    assert await _left(stage, MANY[:1])
    assert (await stage.visit(MANY[0]))[0] == 200
    lease = await stage.kube.request("GET", f"{play.LEASES}/opencode-cloudflare-operator")
    assert not lease["spec"].get("holderIdentity")


async def test_a_changed_selector_removes_nothing(stage: Stage) -> None:
    sessions = MANY[:4]
    await _leave_orphans(stage, sessions, living=sessions)
    before = await stage.left()
    selector = "app.kubernetes.io/managed-by=somebody-else"
    operator = await play.started(stage, POD_LABEL_SELECTOR=selector, RESYNC_INTERVAL="1", ORPHAN_GRACE="1")
    await play.until(lambda: _released(operator, len(sessions)), "the sweep believes that they are orphans")
    await play.looked(stage, 2)
    assert await stage.left() == before
    assert not play.writes(stage)


async def test_a_list_that_is_cut_short_or_fails_sweeps_nothing(stage: Stage) -> None:
    await _leave_orphans(stage, MANY[:2], living=MANY[:2])
    before = await stage.left()
    short = {"match": {"method": "GET", "path": ".*/dns_records"}, "truncate": 1}
    stage.switchboard.faults.replace([short])
    operator = await play.started(stage, RESYNC_INTERVAL="1", ORPHAN_GRACE="1")
    assert await play.problem(operator, "ListCutShort")
    assert await stage.left() == before
    stage.switchboard.faults.replace([])
    await play.no_problem(operator)
    assert not play.writes(stage)


async def _leave_orphans(stage: Stage, sessions: list[str], living: list[str] | None = None) -> None:
    """Sessions that were Ready, whose Pods (but the living's) went while no operator ran."""
    operator = await play.started(stage)
    for session in sessions:
        await stage.kube.create_session(session)
    await play.ready(stage, *sessions)
    assert await operator.stop() == 0
    for session in sessions:
        if session not in (living or ()):
            await stage.kube.delete_session(session)
    stage.switchboard.forget_calls()


async def test_a_dry_run_says_at_once_what_it_waits_for(stage: Stage) -> None:
    await play.set_kubernetes(stage, down=True)
    process = await _sweeping(stage, "--dry-run")
    assert process.stderr is not None
    line = await asyncio.wait_for(process.stderr.readline(), play.WITHIN)
    assert line.decode().startswith("waiting: KubernetesUnavailable: the API server cannot be reached")
    await play.set_kubernetes(stage, down=False)
    out, _ = await asyncio.wait_for(process.communicate(), play.WITHIN)
    assert (process.returncode, out.decode()) == (0, "0 of 0 sessions of ours have no Pod\n")


async def test_a_forced_sweep_with_nobody_leading_says_that_it_may_not_have_the_lease(stage: Stage) -> None:
    message = 'leases.coordination.k8s.io is forbidden: User "me" cannot create resource "leases"'
    match = {"method": "POST", "path": play.LEASES}
    await play.disturb(stage, {"match": match, "status": {"code": 403, "message": message}})
    process = await _sweeping(stage, "--force")
    assert process.stderr is not None
    line = await asyncio.wait_for(process.stderr.readline(), play.WITHIN)
    assert line.decode().startswith("waiting: KubernetesForbidden: ")
    await play.disturb(stage)
    await asyncio.wait_for(process.communicate(), play.WITHIN)
    assert process.returncode == 0


async def _sweep(stage: Stage, mode: str) -> tuple[int | None, str]:
    """The command for people: exit code and what it prints on stdout."""
    process = await _sweeping(stage, mode)
    out, _ = await asyncio.wait_for(process.communicate(), play.WITHIN)
    return process.returncode, out.decode()


async def _sweeping(stage: Stage, mode: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "controller", "sweep", mode),
        env=stage.environment(POD_NAME="sweep"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def _listing(sessions: list[str]) -> list[str]:
    """What a dry run prints: every object of ours by its name."""
    routes = "opencode-session-{0}{1}-app, opencode-session-{0}{1}-signin"
    return [f"{each}  {each}{SUFFIX}.{DOMAIN}, {routes.format(each, SUFFIX)}" for each in sessions]


async def _kubernetes_writes(stage: Stage) -> list[Mapping[str, Any]]:
    asked = await stage.kube.request("GET", "/_sandbox/calls")
    return [call for call in asked if call["method"] not in ("GET", "HEAD") and "/_sandbox/" not in call["path"]]


async def _left(stage: Stage, sessions: list[str]) -> bool:
    """Whether these sessions, and no others, have their four objects."""
    left = await stage.left()
    return len(left) == 4 * len(sessions) and all(any(each in name for each in sessions) for name in left)


async def _released(operator: Replica, count: int) -> bool:
    return operator.log.read_text().count("orphan released for removal") >= count


async def _metric(operator: Replica, name: str) -> float:
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{await operator.port()}/metrics") as reply:
        lines = (await reply.text()).splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"opencode_cloudflare_operator_{name} "))
