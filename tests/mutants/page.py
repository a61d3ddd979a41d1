"""docs/mutants.md: what was planted, and who noticed. Written by `__main__` and `core`, read again by both and by
`test_mutants`: each renews its own half of the page."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.mutants.hunt import ROOT, Result
from tests.mutants.mutant import Mutant

PAGE = ROOT / "docs" / "mutants.md"
LONGEST = 110  # characters of what was noticed
TITLE = """# Does the net hold?

Realistic bugs, planted one after another into a copy of the product; the simulation of `make test`
([correctness.md](correctness.md)) has to notice each within its default number of stories. `make mutants` makes this
table again, `make mutants ONLY=text` the lines of the bugs that `text` is in.

| bug | what it breaks | caught by | after stories |
| --- | --- | --- | --- |
"""
CORE = "\n## The pure core\n"
CORE_TEXT = """
A mutation tool changes the expressions of `fsm/` and of what is pure in `cloudflare_ops/`, one at a time; the unit and
property tests without the simulation are the judge. It leaves out what is outside of functions (constants, patterns)
and the decorated ones, here the properties of an observation and of a record. `make mutmut` makes this half again. The
transition table is data: its rows are above.
"""


@dataclass(frozen=True)
class Survivor:
    """A mutant of the pure core that no test notices: `old` became `new`."""

    function: str
    old: str
    new: str
    reason: str


def row(mutant: Mutant, result: Result) -> str:
    """A line of the table."""
    caught = re.sub(r"^[\d.]+ s: ", "", result.caught) or "**nobody**"
    shown = caught if len(caught) <= LONGEST else caught[: LONGEST - 1] + "…"
    return _line(mutant.name, mutant.breaks, shown, str(result.stories))


def read() -> dict[str, str]:
    """Line by name of the bug, as the page has them."""
    lines = _halves()[0].removeprefix(TITLE).splitlines()
    return {line.split(" | ")[0].removeprefix("| "): line for line in lines}


def write(mutants: Iterable[Mutant], rows: Mapping[str, str]) -> None:
    """The rows of these mutants, as far as there are any."""
    lines = [rows[mutant.name] for mutant in mutants if mutant.name in rows]
    PAGE.write_text(TITLE + "".join(line + "\n" for line in lines) + _halves()[1])


def write_core(killed: int, total: int, survivors: Iterable[Survivor]) -> None:
    """What became of the pure core."""
    lines = [_line(f"`{s.function}`", f"`{s.old}`", f"`{s.new}`", s.reason or "**none**") for s in survivors]
    table = ["", "| where | what stands there | what survives | why |", "| --- | --- | --- | --- |", *lines]
    figures = f"\n{killed} of {total} mutants were killed ({killed / total:.1%}).\n"
    PAGE.write_text(_halves()[0] + CORE + CORE_TEXT + figures + ("\n".join(table) + "\n" if lines else ""))


def _halves() -> tuple[str, str]:
    text = PAGE.read_text() if PAGE.exists() else TITLE
    place = text.find(CORE) if CORE in text else len(text)
    return text[:place], text[place:]


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
