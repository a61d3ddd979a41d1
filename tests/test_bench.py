"""What the bench makes of several rows, which rows there are, and that one of them can be measured."""

import asyncio
import json
from dataclasses import replace
from itertools import product

import pytest

from bench import rows
from bench.alone import Order, measured, ordered
from bench.bare import Bare
from bench.compare import SPANS, compared
from bench.figures import BAD_SHARE, GOOD, HELD, NONE_BAD, OPERATOR, Figure, Row, as_json, from_json, table
from bench.lives import LIFE
from bench.plot import svg

BAD = "5 % taken names"


def burst(what: str, seconds: float, whose: str = "", sessions: int = 1000) -> list[Figure]:
    row = Row(what, sessions, 50, OPERATOR)
    waits = [Figure(row, f"{whose}to Ready, p95", seconds), Figure(row, f"{whose}to Ready, max", seconds + 4)]
    return [Figure(row, "Cloudflare calls", 10), *waits]


def times(figures: list[Figure]) -> list[float]:
    return [figure.value for figure in compared(figures) if figure.name.startswith("time of")]


def test_the_good_ones_are_compared_with_as_many_that_are_alone() -> None:
    bad = burst(BAD, 20.0, GOOD)
    assert times([*bad, *burst(NONE_BAD, 16.0, sessions=950)]) == [1.25, 1.2]
    assert times([*burst("burst", 10.0), *bad, *burst(NONE_BAD, 16.0)]) == []


@pytest.mark.parametrize(("sessions", "goals"), [(1000, [2.0, 1.2, 1.2]), (100, [2.0, None, None])])
def test_what_bad_ones_cost_in_time_has_a_goal_where_there_are_many(sessions: int, goals: list[float | None]) -> None:
    alone = burst(NONE_BAD, 16.0, sessions=sessions * 19 // 20)
    assert [each.goal for each in compared([*burst(BAD, 20.0, GOOD, sessions), *alone])] == goals


@pytest.mark.parametrize("sessions", [1, 20, 99, 100, 1000])
def test_who_is_good_is_who_is_not_made_bad(sessions: int) -> None:
    assert Row(BAD, sessions, 50).good == sessions - len(range(sessions)[::BAD_SHARE])
    assert Row("burst", sessions, 50).good == sessions


def test_for_all_good_ones_among_bad_ones_as_many_are_measured_alone() -> None:
    every = {plan.row for plan in (*rows.quick(), *rows.full())}
    among = [row for row in every if row.has_bad]
    assert among
    assert {replace(row, what=NONE_BAD, sessions=row.good) for row in among} <= every


def test_growth_is_told_over_the_whole_way_and_over_its_parts_and_only_the_whole_has_goals() -> None:
    calls = {100: 6, 1000: 10, 5000: 50}
    names = ("Kubernetes calls per session", "CPU per session", "to Ready, max", "memory at most")
    figures = [
        Figure(Row("burst", sessions, 250), name, value)
        for sessions, calls_then in calls.items()
        for name, value in [("Cloudflare calls", float(calls_then)), *((name, float(sessions)) for name in names)]
    ]
    found = {(each.row.what, each.row.sessions, each.name): each for each in compared(figures)}
    exponent = "exponent of Cloudflare calls"
    whole, first, last = (found[f"growth from {few:,}", many, exponent] for few, many in SPANS)
    assert [round(each.value, 3) for each in (whole, first, last)] == [0.542, 0.222, 1.0]
    assert not whole.is_over
    assert found["growth from 100", 5000, "exponent of CPU"].value == pytest.approx(2.0)
    over = {each.row.what + f" to {each.row.sessions}" for each in found.values() if each.is_over}
    assert over == {"growth from 100 to 5000"}
    shown = [[cell.strip() for cell in line.split("|")[1:5]] for line in table(list(found.values())).splitlines()]
    for name in ("Cloudflare calls", "CPU", "to Ready, max"):
        assert ["growth from 1,000", "5,000", "250 ms", f"exponent of {name}"] in shown


def test_what_rows_lack_that_were_ended_is_not_compared() -> None:
    ended = [Figure(Row("burst", sessions, 50), "Cloudflare calls", 6) for sessions in (100, 1000)]
    ended += [
        Figure(Row(BAD, 1000, 50), "Cloudflare calls", 10),
        Figure(Row(NONE_BAD, 950, 50), "Cloudflare calls", 10),
    ]
    assert [each.name for each in compared(ended)] == ["exponent of Cloudflare calls", "calls, times those without"]


@pytest.mark.parametrize("lines", [{}, {"this operator": [(1.0, 5.0)]}, {"floor": [(1.0, 5.0), (5000.0, 29.0)]}])
def test_what_was_measured_is_drawn_however_little_it_is(lines: dict[str, list[tuple[float, float]]]) -> None:
    picture = svg("calls", lines, across="sessions")
    assert picture.count("<circle") == sum(map(len, lines.values()))
    assert all(name in picture for name in lines)


def test_figures_come_back_from_json_as_they_were() -> None:
    figures = [*burst(BAD, 20.0, GOOD), Figure(Row("burst", 10, 50, HELD), "Cloudflare calls", 5, "calls", 5.0, 7)]
    assert [from_json(flat) for flat in json.loads(json.dumps(as_json(figures)))] == figures


def test_each_life_is_measured_with_each_size_at_each_latency_and_everything_once_more_held() -> None:
    plans = {plan.row: plan.measures for plan in rows.full()}
    lives = {(row.sessions, row.latency) for row in plans if row.who == OPERATOR and plans[row] == LIFE}
    assert lives == set(product((1, 10, 100, 1000, 5000), (0, 50, 250)))
    free = [row for row in plans if row.who == OPERATOR]
    assert [(replace(row, who=HELD), plans[row]) for row in free] == [
        each for each in plans.items() if each[0].who == HELD
    ]


def quick(row: Row) -> Order:
    [order] = [order for order in ordered(Bare(1.0, 70.0, 0.001, 0.000_02), quick=True) if order.plan.row == row]
    return order


async def test_a_row_is_measured_in_a_process_of_its_own() -> None:
    row, figures = Row("burst", 10, 50), list[Figure]()
    assert await measured(quick(row), figures)
    assert {figure.row for figure in figures} == {row}
    [calls] = [figure for figure in figures if figure.name == "Cloudflare calls"]
    assert 5 <= calls.value <= 7


async def test_what_a_row_has_told_when_it_is_ended_is_kept() -> None:
    figures: list[Figure] = []
    measuring = asyncio.create_task(measured(quick(Row("burst", 100, 50)), figures))
    async with asyncio.timeout(60):
        while not figures:  # the burst; rest and the others of its life are still to come
            await asyncio.sleep(0.05)
    measuring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await measuring
    assert {figure.row.what for figure in figures} == {"burst"}
