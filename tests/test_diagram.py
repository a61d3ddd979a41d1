"""README shows the table as it is, and one command draws it again."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fsm.table import diagram
from scripts.diagram import BEGIN, END, README, MarkersError, redrawn

REPOSITORY = README.parent


def test_readme_shows_the_table() -> None:
    page = README.read_text()
    assert redrawn(page) == page, "fsm/table.py has changed: run `make diagram`"


def test_the_diagram_in_readme_is_a_mermaid_block_of_its_own() -> None:
    _, _, rest = README.read_text().partition(f"\n{BEGIN}\n")
    block, _, _ = rest.partition(f"\n{END}\n")
    assert block == f"```mermaid\n{diagram()}```"


def test_only_what_is_between_the_markers_is_drawn_again() -> None:
    page = f"before\n\n{BEGIN}\nsomething old\n{END}\n\nafter\n"
    assert redrawn(page) == f"before\n\n{BEGIN}\n```mermaid\n{diagram()}```\n{END}\n\nafter\n"
    assert redrawn(redrawn(page)) == redrawn(page)


@pytest.mark.parametrize(
    "page",
    ["", f"{BEGIN}\n", f"{END}\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{BEGIN}\n{END}\n", f"{BEGIN}\n{END}\n{END}\n"],
)
def test_a_page_without_a_place_for_it_is_told_and_not_guessed(page: str) -> None:
    with pytest.raises(MarkersError, match="diagram:begin"):
        redrawn(page)


def test_the_command_mends_a_page_that_is_out_of_date(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(REPOSITORY / "scripts/diagram.py", tmp_path / "scripts")
    shutil.copytree(REPOSITORY / "fsm", tmp_path / "fsm", ignore=shutil.ignore_patterns("__pycache__"))
    page = README.read_text()
    (tmp_path / "README.md").write_text(page.replace(": revived", ": resurrected"))
    subprocess.run([sys.executable, "scripts/diagram.py"], cwd=tmp_path, check=True, timeout=60)
    assert (tmp_path / "README.md").read_text() == page


def test_make_knows_the_command() -> None:
    _, _, recipe = (REPOSITORY / "Makefile").read_text().partition("\ndiagram: ")
    assert "scripts/diagram.py" in recipe.partition("\n\n")[0]
