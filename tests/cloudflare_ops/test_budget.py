"""What is left of the budget is spread over the window: its writes are the farther apart the less there is."""

from cloudflare_ops.budget import LONGEST_PACE, SIZE, WINDOW, Budget


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
