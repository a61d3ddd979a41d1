"""The simulation inside of a copy with a bug in it: what `hunt` runs there, and what it says on its last line.

Stories and seed are those of `make test`. A bug is caught by an invariant, or because a callback or a moment never
ends: everything else (the bug does not even import, an error of the simulation itself) is no catch, and ends it with a
traceback.
"""

import json
import os
import signal
import sys
from pathlib import Path

# Shortening a story takes minutes, and nobody reads this one; asked for before the simulation is imported.
os.environ["MUTANT"] = "1"

from hypothesis.errors import FlakyFailure

import fsm
from tests.property.simulation import test_simulation
from tests.property.simulation.loop import StuckError
from tests.property.simulation.tally import TALLY

LONGEST = 15.0  # seconds of CPU for one story: most take less than one


def main() -> None:
    """One line of JSON: the stories that were played, and what was noticed in the last one ("" for nothing)."""
    if not Path(fsm.__file__).is_relative_to(Path.cwd()):
        raise ImportError(f"{fsm.__file__} is not the copy's")
    _watch()
    try:
        test_simulation.play(test_simulation.EXAMPLES, start=1)
    except AssertionError as error:
        _tell(TALLY.examples - 1, _first_line(error))  # a story that fails is told once more, for people
    except FlakyFailure as error:  # the second time it went wrong in another way: what nobody waits for dies any time
        _tell(TALLY.examples - 1, _first_line(error.exceptions[0]))
    except StuckError:
        _tell(TALLY.examples - 1, "time does not go on")
    else:
        _tell(TALLY.examples, "")
    finally:
        # Python's own end gives signals their default back, which would end the process as failed: one bug in thirty
        # had no verdict, and not a word on why.
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _watch() -> None:
    """End a story that never ends: no invariant is asked while one callback runs in a circle."""
    before = -1

    def look(*_: object) -> None:
        nonlocal before
        if before == TALLY.examples:
            _tell(before + 1, "a callback never ends")
            sys.stdout.flush()
            os._exit(0)
        before = TALLY.examples

    signal.signal(signal.SIGVTALRM, look)
    signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST, LONGEST)


def _first_line(error: BaseException) -> str:
    if not isinstance(error, AssertionError):
        raise error
    return str(error).partition("\n")[0]


def _tell(stories: int, caught: str) -> None:
    sys.stdout.write("\n" + json.dumps({"stories": stories, "caught": caught}) + "\n")


if __name__ == "__main__":
    main()
