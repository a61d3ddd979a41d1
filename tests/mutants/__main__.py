"""`make mutants`: every bug of the list, one for each core at a time; `ONLY=text` those that have the text in name or
damage.

Exit code 1 when one survives, does not fit the code any more, or is no code that runs.
"""

import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from tests.mutants import page, rows
from tests.mutants.bugs import BUGS
from tests.mutants.hunt import BrokenMutantError, Result, hunt
from tests.mutants.mutant import Mutant, StaleMutantError

MUTANTS = (*BUGS, *rows.mutants())


def main() -> int:
    """Returns the exit code."""
    only = os.environ.get("ONLY", "")
    chosen = [mutant for mutant in MUTANTS if only in mutant.name or only in mutant.breaks]
    failed: list[str] = []
    pool = ThreadPoolExecutor(os.cpu_count())  # a hunt is a process of its own
    try:
        hunts = {pool.submit(hunt, mutant): mutant for mutant in chosen}
        for number, done in enumerate(as_completed(hunts), 1):
            mutant = hunts[done]
            if not _is_caught(mutant, done, f"{number}/{len(chosen)}"):
                failed.append(mutant.name)
    finally:
        pool.shutdown(cancel_futures=True)
    _say(f"{len(chosen) - len(failed)} of {len(chosen)} bugs were caught")
    for name in failed:
        _say(f"  not: {name}")
    return int(bool(failed) or not chosen)


def _is_caught(mutant: Mutant, done: Future[Result], place: str) -> bool:
    try:
        result = done.result()
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
