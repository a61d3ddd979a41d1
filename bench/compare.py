"""What follows from several rows: how things grow with the sessions, and what bad ones cost the others. Pure.

`__main__` adds these figures to the measured ones.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

from bench.figures import GOOD, HELD, NONE_BAD, OPERATOR, Figure, Row

# Sessions between which growth is told: the whole way has a goal, its parts show where it bends.
FEW, MANY, MOST = 100, 1000, 5000
SPANS = ((FEW, MOST), (FEW, MANY), (MANY, MOST))
# Of a figure that grows in proportion; time and CPU are measured, and no machine is the same twice.
LINEAR, ALMOST = 1.0, 1.05
GROWTH = 20.0  # KiB per session
BAD_CALLS, BAD_TIME = 2.0, 1.2  # times the same burst without bad ones; the time where there are MANY


def compared(figures: Sequence[Figure]) -> list[Figure]:
    """As many as the rows allow."""
    return [*_growth(figures), *_neighbours(figures, OPERATOR), *_neighbours(figures, HELD)]


def _growth(figures: Sequence[Figure]) -> Iterator[Figure]:
    """Of bursts, at each latency and over each span."""
    latencies = sorted({figure.row.latency for figure in figures})
    for latency, (few, many) in product(latencies, SPANS):
        before, after = (_of(figures, Row("burst", sessions, latency)) for sessions in (few, many))
        if before and after:
            for figure in _grown(Row(f"growth from {few:,}", many, latency), few, before, after):
                yield figure if (few, many) == SPANS[0] else replace(figure, goal=None)


def _grown(row: Row, few: int, before: Mapping[str, float], after: Mapping[str, float]) -> Iterator[Figure]:
    """Exponents: 1 is in proportion to the sessions, 2 would be their square."""
    wider = row.sessions / few
    for name, each, goal in (
        ("Cloudflare calls", False, LINEAR),
        ("Kubernetes calls per session", True, LINEAR),
        ("CPU per session", True, ALMOST),
        ("to Ready, max", False, ALMOST),
    ):
        # Of a row that was ended, some may be missing.
        if name in before and name in after:
            times = after[name] / before[name] * (wider if each else 1)
            told = f"exponent of {name.removesuffix(' per session')}"
            yield Figure(row, told, math.log(times, wider), "exponent", goal=goal)
    if (memory := "memory at most") in before and memory in after:
        kib = (after[memory] - before[memory]) * 1024 / (row.sessions - few)
        yield Figure(row, "memory for each session", kib, "KiB", 0, GROWTH)


def _neighbours(figures: Sequence[Figure], who: str) -> Iterator[Figure]:
    """Beside a burst of as many Pods as there are good ones, which was measured between them."""
    for row in dict.fromkeys(figure.row for figure in figures if figure.row.has_bad):
        alone = _of(figures, replace(row, what=NONE_BAD, sessions=row.good))
        if row.who == who and alone:
            found = _of(figures, row)
            # Few are Ready so soon that the look and the batch that a taken name costs are a fifth of it far away.
            slower = BAD_TIME if row.sessions >= MANY else None
            names = (
                ("calls", "Cloudflare calls", BAD_CALLS),
                ("time of the good ones", f"{GOOD}to Ready, p95", slower),
                ("time of the last good one", f"{GOOD}to Ready, max", slower),
            )
            for told, name, goal in names:
                if name in found and (beside := name.removeprefix(GOOD)) in alone:
                    times = found[name] / alone[beside]
                    yield Figure(row, f"{told}, times those without", times, "×", 1, goal if who == OPERATOR else None)


def _of(figures: Iterable[Figure], row: Row) -> dict[str, float]:
    return {figure.name: figure.value for figure in figures if figure.row == row}
