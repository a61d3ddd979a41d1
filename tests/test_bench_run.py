"""That no row of a run takes anything from the others, and that what is known by then is in the file."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.alone import Order, ordered
from bench.bare import Bare
from bench.figures import HELD, OPERATOR, Figure, Row
from bench.run import Run

FEW = [order for order in ordered(Bare(1.0, 70.0, 0.001, 0.000_02), quick=True) if order.plan.row.what == "burst"]
FIRST, SECOND = FEW[0].plan.row, FEW[1].plan.row


class Measuring:
    """Fails of the first row what it is told to fail, and notes what the file has at each beginning."""

    def __init__(self, path: Path, fail: Callable[[list[Figure]], bool]) -> None:
        self._path = path
        self._fail = fail
        self.begun: list[Row] = []
        self.saved: list[int] = []

    async def __call__(self, order: Order, figures: list[Figure]) -> bool:
        self.begun.append(order.plan.row)
        self.saved.append(len(json.loads(self._path.read_text())) if self._path.exists() else 0)
        if order.plan.row == FIRST and self.begun.count(FIRST) == 1 and not self._fail(figures):
            return False
        figures.append(Figure(order.plan.row, "calls", 1))
        return True


def crash(_: list[Figure]) -> bool:
    raise ValueError("no such row")


def fail(_: list[Figure]) -> bool:
    return False


def fail_late(figures: list[Figure]) -> bool:
    figures.append(Figure(FIRST, "calls", 1))
    return False


def succeed(_: list[Figure]) -> bool:
    return True


@pytest.mark.parametrize("failure", [crash, fail])
async def test_a_row_that_fails_before_its_first_figure_is_tried_once_more(
    tmp_path: Path, failure: Callable[[list[Figure]], bool], capsys: pytest.CaptureFixture[str]
) -> None:
    measuring = Measuring(tmp_path / "json", failure)
    assert await Run(FEW[:2], tmp_path / "json", measuring).measure()
    assert measuring.begun == [FIRST, FIRST, SECOND]
    assert f"failed: {FIRST}" in capsys.readouterr().err


async def test_a_row_that_has_told_something_is_not_measured_again_and_the_others_are(tmp_path: Path) -> None:
    measuring = Measuring(tmp_path / "json", fail_late)
    run = Run(FEW[:2], tmp_path / "json", measuring)
    assert not await run.measure()
    assert measuring.begun == [FIRST, SECOND]
    assert [figure.row for figure in run.figures] == [FIRST, SECOND]


@pytest.mark.parametrize(("quick", "who", "most"), [(False, OPERATOR, 1), (False, HELD, 2), (True, OPERATOR, 2)])
async def test_rows_share_the_machine_only_where_it_does_no_harm(quick: bool, who: str, most: int) -> None:
    at_work: list[int] = [0]

    async def measure(order: Order, figures: list[Figure]) -> bool:
        at_work.append(at_work[-1] + 1)
        await asyncio.sleep(0)
        at_work.append(at_work[-1] - 1)
        return True

    orders = [order for order in ordered(Bare(1.0, 70.0, 0.001, 0.000_02), quick=quick) if order.plan.row.who == who]
    await Run(orders, None, measure).measure()
    assert max(at_work) == most


async def test_a_quick_run_says_nothing_of_goals_for_times(tmp_path: Path) -> None:
    async def measure(order: Order, figures: list[Figure]) -> bool:
        figures += [Figure(order.plan.row, unit, 2, unit, goal=1) for unit in ("calls", "s", "ms", "MiB")]
        return True

    run = Run(FEW[:1], None, measure)
    await run.measure()
    assert [figure.name for figure in run.figures if figure.is_over] == ["calls", "MiB"]


async def test_the_file_has_all_rows_that_have_ended(tmp_path: Path) -> None:
    measuring = Measuring(tmp_path / "json", succeed)
    await Run(FEW, tmp_path / "json", measuring).measure()
    assert measuring.saved == list(range(len(FEW)))
    assert len(json.loads((tmp_path / "json").read_text())) == len(FEW)


async def test_whether_some_rows_are_all_there_does_not_depend_on_the_others(tmp_path: Path) -> None:
    class Never(Measuring):
        async def __call__(self, order: Order, figures: list[Figure]) -> bool:
            return order.plan.row != FIRST and await super().__call__(order, figures)

    run = Run(FEW[:2], None, Never(tmp_path / "json", succeed))
    assert not await run.measure()
    assert run.has_all(lambda row: row == SECOND)
    assert not run.has_all(lambda row: row == FIRST)
