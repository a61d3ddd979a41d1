"""Wherever the leader is cut down, the other replica brings the world to the same end."""

import asyncio
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cluster.cutpoints.cuts import Cut, Recording, cuts_of, play, record
from tests.cluster.cutpoints.ground import ground
from tests.cluster.cutpoints.phases import PHASES, Phase
from tests.cluster.cutpoints.report import SAME, Report
from tests.controlplane import ControlPlane

LANES = 6  # grounds at a time: a cut mostly waits, for a lease to run out


@pytest.mark.timeout(600)
async def test_every_request_of_a_session_can_be_the_leaders_last(
    cluster: ControlPlane, tmp_path: Path, report: Report
) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(8 * LANES))
    report.recordings = await asyncio.gather(*(recorded(cluster, tmp_path, phase) for phase in PHASES))
    cuts = [cut for recording in report.recordings for cut in cuts_of(recording)]
    async with asyncio.TaskGroup() as lanes:
        for _ in range(LANES):
            lanes.create_task(play_all(cluster, tmp_path, cuts, report))
    assert report.failures() == []
    report.check_page()


async def recorded(cluster: ControlPlane, folder: Path, phase: Phase) -> Recording:
    async with ground(cluster, folder) as here:
        return await record(here, phase)


async def play_all(cluster: ControlPlane, folder: Path, cuts: list[Cut], report: Report) -> None:
    """Take cuts until there is none left; a ground on which one went wrong is not used again."""
    while cuts:
        async with ground(cluster, folder) as here:
            result = SAME
            while cuts and result == SAME:
                cut = cuts.pop(0)
                result = report.results[cut] = await result_of(play(here, cut))


async def result_of(playing: Awaitable[None]) -> str:
    try:
        await playing
    except AssertionError as error:
        return str(error)
    return SAME
