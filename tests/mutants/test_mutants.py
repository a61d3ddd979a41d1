"""The list of bugs fits the code that is there, and every one of them has been played. Nothing is played here."""

import ast
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fsm.table import TRANSITIONS
from tests.mutants import page
from tests.mutants.__main__ import MUTANTS
from tests.mutants.hunt import ROOT, Result
from tests.mutants.mutant import Edit, Mutant, StaleMutantError, plant


def planted(mutant: Mutant, folder: Path) -> list[Path]:
    """The files that it changes, in a folder with nothing else."""
    paths = [folder / name for name in dict.fromkeys(edit.file for edit in mutant.edits)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path.relative_to(folder), path)
    plant(mutant, folder)
    return paths


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_bug_fits_the_code_and_parses(mutant: Mutant, tmp_path: Path) -> None:
    for path in planted(mutant, tmp_path):
        text = path.read_text()
        assert text != (ROOT / path.relative_to(tmp_path)).read_text()
        ast.parse(text)


def test_no_bug_uses_a_name_that_is_not_there(tmp_path: Path) -> None:
    for number, mutant in enumerate(MUTANTS):
        planted(mutant, tmp_path / str(number))
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "F821", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_bug_whose_text_is_not_there_or_twice_is_stale(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("one two two")
    for old in ("three", "two"):
        with pytest.raises(StaleMutantError, match=old):
            plant(Mutant("x", "y", (Edit("a.py", old, "four"),)), tmp_path)
    assert file.read_text() == "one two two"


def test_every_row_of_the_table_is_dropped_and_redirected() -> None:
    names = [mutant.name for mutant in MUTANTS]
    for row in TRANSITIONS:
        assert f"row {row.trigger.value} dropped" in names
        assert f"row {row.trigger.value} redirected" in names
    assert max(Counter(names).values()) == 1


def test_every_bug_was_played_and_somebody_noticed() -> None:
    rows = page.read()
    played = [mutant.name for mutant in MUTANTS if mutant.name in rows and "**nobody**" not in rows[mutant.name]]
    assert played == [mutant.name for mutant in MUTANTS], "make mutants ONLY=… plays what is missing"


def test_a_line_of_the_page_is_found_again_by_the_name() -> None:
    mutant = MUTANTS[0]
    line = page.row(mutant, Result("12.50 s: somebody | removed it", 3, 1.0))
    assert line == f"| {mutant.name} | {mutant.breaks} | somebody \\| removed it | 3 |"
    assert "**nobody**" in page.row(mutant, Result("", 100, 1.0))
