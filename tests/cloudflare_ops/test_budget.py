"""What is left of the budget is spread over the window, and who finds it used up waits for no longer than it must."""

import asyncio

import pytest

from cloudflare_ops.budget import LONGEST_PACE, SIZE, WINDOW, Budget
from tests.k8s.virtual import now, virtual


def test_a_new_leaders_writes_may_follow_each_other_within_a_second() -> None:
    assert Budget(lambda: 0.0).pace() < 1


def test_writes_come_slower_and_slower_when_the_budget_gets_short() -> None:
    budget = Budget(lambda: 0.0)
    paces = []
    while budget.left:
        budget.spend()
        paces.append(budget.pace())
    assert paces == sorted(paces)
    assert paces[-1] == LONGEST_PACE


def test_two_writers_of_two_calls_at_this_pace_never_use_the_budget_up() -> None:
    time = 0.0
    budget = Budget(lambda: time)
    while time < 3 * WINDOW:
        assert budget.left >= 4
        for _ in range(4):
            budget.spend()
        time += budget.pace()


def test_what_was_spent_comes_back_after_the_window() -> None:
    time = 0.0
    budget = Budget(lambda: time)
    while budget.left:
        budget.spend()
    time = WINDOW
    assert (budget.left, budget.pace()) == (SIZE, WINDOW / SIZE)


@virtual
async def test_there_is_room_as_soon_as_just_enough_requests_have_left_the_window() -> None:
    budget, began = Budget(now, size=4), now()  # two are spent
    for _ in range(2):
        await asyncio.sleep(10)
        budget.spend()
    await budget.room(2)
    assert now() - began == pytest.approx(WINDOW)
    await budget.room(3)
    assert now() - began == pytest.approx(WINDOW + 10)


@virtual
async def test_a_pause_of_less_than_a_second_is_kept_too() -> None:
    budget, began = Budget(now), now()
    budget.block(0.5)
    await budget.room()
    assert now() - began == pytest.approx(0.5)


def test_a_new_term_finds_half_at_most_and_what_an_earlier_one_has_spent() -> None:
    time = 0.0
    budget = Budget(lambda: time, size=10)
    for _ in range(4):
        budget.spend()
    budget.begin_term()
    assert budget.left == 1
    time = WINDOW
    assert budget.left == 10
    budget.begin_term()
    assert budget.left == 5


def test_a_request_that_is_sent_after_its_count_has_come_back_counts_anew() -> None:
    time = 0.0
    budget = Budget(lambda: time, size=10)
    spent = budget.spend()
    time = WINDOW
    assert budget.left == 10
    budget.sent(spent)
    assert budget.left == 9


def test_a_new_term_keeps_the_silence_that_was_asked_for() -> None:
    budget = Budget(lambda: 0.0)
    budget.block(20)
    budget.begin_term()
    assert budget.blocked_for == 20
