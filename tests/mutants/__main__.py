"""`make mutants`: every bug of the list, one after another; `ONLY=text` those whose name or damage has the text in it.

Exit code 1 when one survives, does not fit the code any more, or is no code that runs.
"""

import os
import sys

from tests.mutants import page, rows
from tests.mutants.bugs import BUGS
from tests.mutants.hunt import BrokenMutantError, Result, hunt
from tests.mutants.mutant import Mutant, StaleMutantError

MUTANTS = (*BUGS, *rows.mutants())


def main() -> int:
    """Returns the exit code."""
    only = os.environ.get("ONLY", "")
    chosen = [mutant for mutant in MUTANTS if only in mutant.name or only in mutant.breaks]
    failed = [
        mutant.name for number, mutant in enumerate(chosen, 1) if not _is_caught(mutant, f"{number}/{len(chosen)}")
    ]
    _say(
        f"{len(chosen) - len(failed)} of {len(chosen)} bugs were caught"
        + "".join(f"\n  not: {name}" for name in failed)
    )
    return int(bool(failed) or not chosen)


def _is_caught(mutant: Mutant, place: str) -> bool:
    try:
        result = hunt(mutant)
    except (StaleMutantError, BrokenMutantError) as error:
        _say(f"{place} {error}")
        return False
    _say(f"{place} {mutant.name}: {_told(result)} after {result.stories} stories, {result.seconds:.0f} s")
    page.write(MUTANTS, page.read() | {mutant.name: page.row(mutant, result)})
    return bool(result.caught)


def _told(result: Result) -> str:
    return f"caught by “{result.caught}”" if result.caught else "SURVIVED"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
