"""The budget is calm at first, also for a new leader, and has wishes gather longer once it gets short."""

from cloudflare_ops.budget import LONGEST_STRETCH, SIZE, WINDOW, Budget


def test_a_new_leaders_first_wishes_wait_for_nothing() -> None:
    budget = Budget(lambda: 0.0)
    for _ in range(SIZE // 5):
        budget.spend()
    assert budget.stretch() == 0


def test_wishes_gather_longer_and_longer_when_the_budget_gets_short() -> None:
    budget = Budget(lambda: 0.0)
    stretches = []
    while budget.left:
        budget.spend()
        stretches.append(budget.stretch())
    assert stretches == sorted(stretches)
    assert stretches[-1] == LONGEST_STRETCH


def test_what_was_spent_comes_back_after_the_window() -> None:
    time = 0.0
    budget = Budget(lambda: time)
    while budget.left:
        budget.spend()
    time = WINDOW
    assert (budget.left, budget.stretch()) == (SIZE, 0)
