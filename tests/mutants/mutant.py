"""A bug as data: texts of the product's own files, and what stands there instead."""

from dataclasses import dataclass
from pathlib import Path


class StaleMutantError(Exception):
    """The text is not there, or not only once: the product has changed, the mutant has to follow."""


@dataclass(frozen=True)
class Edit:
    """`old` occurs exactly once in `file` and becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """One planted bug, and what a product with it would do."""

    name: str
    breaks: str
    edits: tuple[Edit, ...]


def plant(mutant: Mutant, root: Path) -> None:
    """Make the edits below `root`.

    Raises:
        StaleMutantError: one of them does not fit.
    """
    for edit in mutant.edits:
        path = root / edit.file
        text = path.read_text()
        if text.count(edit.old) != 1:
            raise StaleMutantError(f"{mutant.name}: {text.count(edit.old)} places in {edit.file} for {edit.old!r}")
        path.write_text(text.replace(edit.old, edit.new))
