"""The breaker: how long everybody waits, and whose success ends it."""

import asyncio

import pytest

from cloudflare_ops.breaker import FIRST_PAUSE, LONGEST_PAUSE, Breaker
from controller.background import background
from fsm.errors import SharedError, TransientError
from tests.k8s.virtual import now, virtual

PROBLEM, OTHER = SharedError("Oops", "no", "wait"), SharedError("Again", "no", "wait")


class Clock:
    """A breaker with a clock, and what it told."""

    def __init__(self) -> None:
        self.time = 100.0
        self.recoveries = 0
        self.breaker = Breaker(lambda: self.time, self._recovered)

    def _recovered(self) -> None:
        self.recoveries += 1

    def is_open(self) -> bool:
        try:
            self.breaker.check()
        except SharedError:
            return True
        return False


def test_nothing_is_held_back_before_it_trips() -> None:
    clock = Clock()
    assert not clock.is_open()
    clock.breaker.passed("x")
    clock.breaker.hasten()
    assert clock.recoveries == 0
    assert clock.breaker.problem is None


def test_it_is_open_for_its_pause_and_not_for_longer() -> None:
    clock = Clock()
    clock.breaker.trip("x", PROBLEM)
    with pytest.raises(SharedError, match="Oops"):
        clock.breaker.check()
    clock.time += FIRST_PAUSE - 0.001
    assert clock.is_open()
    clock.time += 0.001
    assert not clock.is_open()
    assert clock.breaker.problem is PROBLEM


def test_the_pause_doubles_with_each_failure_after_it_and_not_with_those_that_were_under_way() -> None:
    clock = Clock()
    clock.breaker.trip("x", PROBLEM)
    clock.breaker.trip("x", OTHER)
    assert clock.breaker.problem is OTHER
    pause = FIRST_PAUSE
    for _ in range(10):
        clock.time += pause
        assert not clock.is_open()
        clock.breaker.trip("x", PROBLEM)
        clock.time += pause
        assert clock.is_open() == (pause < LONGEST_PAUSE)
        pause, clock.time = min(2 * pause, LONGEST_PAUSE), clock.time - pause
    assert pause == LONGEST_PAUSE


def test_only_the_sort_of_request_that_failed_closes_it_and_the_next_time_begins_anew() -> None:
    clock = Clock()
    clock.breaker.trip("x", PROBLEM)
    clock.time += FIRST_PAUSE
    clock.breaker.trip("x", PROBLEM)
    clock.breaker.passed("y")
    assert (clock.is_open(), clock.recoveries) == (True, 0)
    clock.breaker.passed("x")
    assert (clock.is_open(), clock.recoveries, clock.breaker.problem) == (False, 1, None)
    clock.breaker.trip("x", PROBLEM)
    clock.time += FIRST_PAUSE
    assert not clock.is_open()


def test_hastened_everybody_may_try_at_once_and_the_problem_stays() -> None:
    clock = Clock()
    clock.breaker.trip("x", PROBLEM)
    clock.breaker.hasten()
    assert (clock.is_open(), clock.recoveries, clock.breaker.problem) == (False, 1, PROBLEM)


@virtual
async def test_turns_are_free_while_it_is_closed_and_one_at_a_time_after_a_pause() -> None:
    breaker = Breaker(now, lambda: None)
    async with breaker.turn(), breaker.turn():
        pass
    breaker.trip("x", PROBLEM)
    with pytest.raises(SharedError):
        async with breaker.turn():
            raise AssertionError("nobody passes during the pause")
    breaker.hasten()
    async with breaker.turn():
        assert breaker._turn.locked()
    assert not breaker._turn.locked()


@virtual
async def test_after_a_long_trouble_the_next_one_is_probed_as_soon_as_the_first_was() -> None:
    breaker = Breaker(now, lambda: None)
    probes: list[float] = []

    async def probe() -> None:
        probes.append(now())
        if len(probes) < 4:
            breaker.trip("GET zone", PROBLEM, probe)
            raise PROBLEM
        breaker.passed("GET zone")

    async with background(breaker.run):
        breaker.trip("GET zone", PROBLEM, probe)
        await asyncio.sleep(15 * FIRST_PAUSE + 1)
        assert len(probes) == 4
        assert breaker.problem is None
        began = now()
        breaker.trip("GET zone", OTHER, probe)
        await asyncio.sleep(FIRST_PAUSE + 1)
        assert probes[4:] == [began + FIRST_PAUSE]


@virtual
async def test_what_no_probe_can_tell_is_felt_until_nobody_comes_to_try_again() -> None:
    breaker, tries = Breaker(now, lambda: None), 3

    async def somebody() -> None:
        for _ in range(tries):
            async with breaker.turn():
                breaker.trip("posts", PROBLEM)
            await asyncio.sleep(breaker._pause + 1)

    async with background(breaker.run):
        await somebody()
        assert (breaker.problem, breaker.is_felt) == (PROBLEM, True)
        await asyncio.sleep(3 * LONGEST_PAUSE)
        assert (breaker.problem, breaker.is_felt) == (PROBLEM, False)
        await somebody()
        assert breaker.is_felt
        assert breaker._pause > FIRST_PAUSE


@virtual
async def test_a_probe_that_cannot_tell_does_not_end_the_news() -> None:
    breaker = Breaker(now, lambda: None)

    async def probe() -> None:
        raise TransientError("CloudflareUnreachable", "no reply")

    async with background(breaker.run):
        breaker.trip("GET zone", PROBLEM, probe)
        await asyncio.sleep(3 * LONGEST_PAUSE)
        assert breaker.is_felt
