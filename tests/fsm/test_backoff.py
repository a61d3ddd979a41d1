"""Waiting grows, is spread, and has an end."""

import pytest

from fsm.backoff import BASE, CAP, delay


@pytest.mark.parametrize(
    ("attempts", "least"), [(0, 0), (1, 1), (2, 2), (3, 4), (4, 8), (8, 128), (9, 150), (10, 150), (1_000_000, 150)]
)
def test_the_fixed_half_doubles_up_to_half_the_cap(attempts: int, least: float) -> None:
    assert delay(attempts, 0.0) == least


@pytest.mark.parametrize("attempts", range(1, 12))
def test_the_random_half_is_as_large_as_the_fixed_one(attempts: int) -> None:
    assert delay(attempts, 1.0) == 2 * delay(attempts, 0.0)


def test_no_failure_means_no_wait_whatever_the_jitter() -> None:
    assert delay(0, 0.9) == delay(-1, 0.9) == 0.0


def test_the_longest_wait_is_the_cap() -> None:
    assert delay(10**9, 1.0) == CAP
    assert delay(1, 1.0) == BASE
