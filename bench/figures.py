"""A measured figure beside its floor, its goal and the obvious way; how the table and the JSON show it. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

BATCH = 200  # records in one call to Cloudflare: its Free plan takes no more
PAGE = 5000  # records in one page of a list that the operator asks for

OPERATOR = "operator"
HELD = "operator at 200 millicores"
OBVIOUS = "obvious way"
GOOD = "good ones "  # before the name of a figure that leaves the bad ones out
# What the rows with bad ones are compared with, measured between them: some minutes make a fifth more or less. It has
# exactly as many sessions as they have good ones.
NONE_BAD = "0 % taken names"
BAD_SHARE = 20  # one in so many, the first and so on


@dataclass(frozen=True)
class Row:
    """What was done to whom, with how many sessions, at which latency of Cloudflare."""

    what: str
    sessions: int
    latency: int  # ms
    who: str = OPERATOR

    @property
    def has_bad(self) -> bool:
        """Whether there are bad ones among the sessions."""
        return self.what.startswith("5 %")

    @property
    def good(self) -> int:
        """How many sessions become Ready."""
        return self.sessions - math.ceil(self.sessions / BAD_SHARE) if self.has_bad else self.sessions

    def __str__(self) -> str:
        return f"{self.what}, {self.sessions:,} sessions, {self.latency} ms, {self.who}"


@dataclass(frozen=True)
class Figure:
    """One number; `floor` is what the two APIs make inevitable, `goal` what it may be at most."""

    row: Row
    name: str
    value: float
    unit: str = ""
    floor: float | None = None
    goal: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether it misses its goal."""
        return self.goal is not None and self.value > self.goal


def batches(sessions: int) -> int:
    """How many calls change so many records."""
    return math.ceil(sessions / BATCH)


def floor_of_burst(sessions: int) -> int:
    """The zone's name, a list, the batches, GET and PUT of the tunnel's document."""
    return 4 + batches(sessions)


def floor_of_look(sessions: int) -> int:
    """Pages of the list (of theirs and of other people's records), GET of the tunnel's document."""
    return sessions // PAGE + 1 + 1


def as_json(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    """Each figure as one flat object."""
    return [
        asdict(figure.row) | {key: value for key, value in asdict(figure).items() if key != "row"} for figure in figures
    ]


def from_json(flat: Mapping[str, Any]) -> Figure:
    """One figure of `as_json` again."""
    row = Row(*(flat[each.name] for each in fields(Row)))
    return Figure(row, *(flat[each.name] for each in fields(Figure)[1:]))


SHARE = 0.2  # of a core: 200 millicores
REQUESTS = 8  # to Kubernetes for each session: five patches, two applies, one Event
# Calls that have to follow each other until the first session is Ready: list, batch, PUT. The zone's name and the GET
# can go with the list, batches with each other.
ONE_AFTER_THE_OTHER = 3


def speed(row: Row) -> float:
    """How much of a core it has."""
    return SHARE if row.who == HELD else 1.0


def floor_of_calls(row: Row, calls: int) -> float:
    """Seconds for so many calls to Cloudflare, one after the other."""
    return calls * row.latency / 1000


def floor_of_work(row: Row, requests: float, each: float) -> float:
    """Seconds for so many requests at `each` seconds of CPU, on the one core that one process can use."""
    return requests * each / speed(row)


HEAD = (
    *("what", "sessions", "latency", "figure", "measured", "unit", "floor", "× floor"),
    *("at 200 millicores", "obvious way", "goal", ""),
)


def table(figures: Sequence[Figure]) -> str:
    """The operator's as a Markdown table; beside them the same of the held operator and of the obvious way."""
    found = {(replace(figure.row, who=OPERATOR), figure.name, figure.row.who): figure for figure in figures}
    shown = [
        _cells(figure, *(found.get((figure.row, figure.name, who)) for who in (HELD, OBVIOUS)))
        for figure in figures
        if figure.row.who == OPERATOR
    ]
    widths = [max(map(len, column)) for column in zip(HEAD, *shown, strict=True)]
    lines = [HEAD, tuple("-" * width for width in widths), *shown]
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)


def _cells(figure: Figure, held: Figure | None, obvious: Figure | None) -> tuple[str, ...]:
    row, floor = figure.row, figure.floor
    return (
        row.what,
        f"{row.sessions:,}",
        f"{row.latency} ms",
        figure.name,
        _number(figure.value),
        figure.unit,
        _number(floor),
        _number(figure.value / floor) if floor else "",
        _number(held.value) if held else "",
        _number(obvious.value) if obvious else "",
        _number(figure.goal),
        "OVER" if figure.is_over else "",
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value == int(value) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
