"""What the bench makes of several rows: bad neighbours beside the burst that was measured between them."""

from bench.compare import compared
from bench.figures import GOOD, NONE_BAD, OPERATOR, Figure, Row

BAD = "5 % taken names"


def burst(what: str, seconds: float, whose: str = "") -> list[Figure]:
    row = Row(what, 1000, 50, OPERATOR)
    return [Figure(row, "Cloudflare calls", 10), Figure(row, f"{whose}to Ready, p95", seconds)]


def times(figures: list[Figure]) -> list[float]:
    return [figure.value for figure in compared(figures) if figure.name.startswith("time of the good ones")]


def test_the_good_ones_are_compared_with_the_burst_between_them_else_with_the_one_before() -> None:
    before, bad = burst("burst", 10.0), burst(BAD, 20.0, GOOD)
    assert times([*before, *bad]) == [2.0]
    assert times([*before, *bad, *burst(NONE_BAD, 16.0)]) == [1.25]
    assert times(bad) == []
