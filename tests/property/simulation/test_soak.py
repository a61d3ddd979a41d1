"""The soak itself: its workers play and go, it goes after the awaits that were missed, and its end says how it was."""

import asyncio
import re
import sys

from tests.property.simulation import soak
from tests.property.simulation.kill_points import every

ONE_WRONG = """
import sys
from tests.property.simulation import soak
from tests.property.simulation.tally import Tally

def play(seed, examples):
    tally = Tally()
    tally.examples = examples
    return tally, "a story that went wrong" if examples == soak.CHUNK else ""

soak.play = play
sys.argv = ["soak", str(soak.CHUNK + 1)]
sys.exit(soak.main())
"""
STARTED = (sys.executable, "-m", "tests.property.simulation.soak")


async def test_it_ends_well_when_every_story_did_and_says_what_they_covered() -> None:
    run = await asyncio.create_subprocess_exec(*STARTED, "2", stdout=asyncio.subprocess.PIPE)
    out, _ = await run.communicate()
    assert run.returncode == 0, out.decode()
    # One more may have begun than was asked for, when hypothesis gives one up: it counts, too.
    stories = re.search(r"(\d+) of 2 stories", out.decode())
    assert stories is not None
    assert int(stories[1]) >= 2
    assert f"examples: {stories[1]}, " in out.decode()
    assert "kill points: " in out.decode()


async def test_ended_early_it_tells_what_there_was_and_that_it_is_not_all() -> None:
    # A chunk that is done soon, and one that is not.
    run = await asyncio.create_subprocess_exec(*STARTED, str(soak.CHUNK + 2), stdout=asyncio.subprocess.PIPE)
    assert run.stdout is not None
    await run.stdout.readline()
    run.terminate()
    out, _ = await run.communicate()
    assert run.returncode == 1
    assert b"kill points: " in out


async def test_a_story_that_goes_wrong_is_told_and_the_others_go_on() -> None:
    run = await asyncio.create_subprocess_exec(sys.executable, "-c", ONE_WRONG, stdout=asyncio.subprocess.PIPE)
    out, _ = await run.communicate()
    assert run.returncode == 1
    assert "a story that went wrong" in out.decode()
    assert f"{soak.CHUNK + 1} of {soak.CHUNK + 1} stories" in out.decode()
    assert "failures, told above: 1" in out.decode()


def test_a_hunt_ends_when_somebody_was_killed_at_its_await() -> None:
    [point] = [point for point in every() if point[:2] == ("controller/queue.py", "stop")]
    tally, failure = soak.hunt(point)
    assert not failure
    assert point not in tally.never_killed()
    assert tally.examples < soak.TRIES
