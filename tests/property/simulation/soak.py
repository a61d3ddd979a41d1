"""`make soak EXAMPLES=20000`: as many stories as asked for, on every core, with a progress line and a summary.

It fails when a story does (which is told at once, and the others go on), and when some await of the product or some
move of the table was never seen in a soak that is long enough to see all of them; whoever ends it early gets the
summary so far. Each chunk has a seed, which is told when it fails: `SEED=… EXAMPLES=…` repeats it.
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import Pool
from random import Random

from tests.property.simulation import kill_points, test_simulation
from tests.property.simulation.tally import TALLY, Tally

CHUNK = 50  # stories: hypothesis remembers all of a run, so that long ones get slow
ENOUGH = 2_000  # stories that see every move and nearly every await
TRIES = 200  # short stories about an await that they have not seen


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="soak", description="Play stories of the simulation on every core.")
    parser.add_argument("examples", type=int, help="how many stories")
    parser.add_argument("seed", type=int, nargs="?", help="of the one chunk to play again")
    asked = parser.parse_args()
    examples: int = asked.examples
    if asked.seed is not None:
        return _told(play(asked.seed, examples)[1])
    seeds = Random()
    chunks = [(seeds.getrandbits(64), min(CHUNK, examples - done)) for done in range(0, examples, CHUNK)]
    tally, failed, begun = Tally(), 0, time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # The pool ends its workers wherever its block is left, so that nobody else has to tell them.
    with suppress(KeyboardInterrupt), Pool(maxtasksperchild=20, initializer=_deaf) as pool:
        for part, failure in pool.imap_unordered(_played, chunks):
            tally.merge(part)
            failed += _told(failure)
            _progress(tally.examples, examples, time.monotonic() - begun)
        # Go after the awaits at which nobody happened to be killed.
        missed = tally.never_killed() if tally.examples >= ENOUGH else []
        for number, (part, failure) in enumerate(pool.imap_unordered(hunt, missed), 1):
            tally.merge(part)
            failed += _told(failure)
            _say(f"{number} of {len(missed)} awaits hunted")
    sys.stdout.write("\n" + "\n".join(tally.lines()) + "\n" + f"failures, told above: {failed}\n" * bool(failed))
    is_blind = tally.examples >= ENOUGH and bool(tally.never_killed() or tally.never_moved())
    return int(bool(failed) or is_blind or tally.examples < examples)


def _deaf() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _played(chunk: tuple[int, int]) -> tuple[Tally, str]:
    return play(*chunk)


def play(seed: int, examples: int) -> tuple[Tally, str]:
    """A chunk of stories; what they covered, and the story that failed ("" for none)."""
    TALLY.__init__()  # type: ignore[misc]  # a process plays many chunks
    try:
        test_simulation.play(examples, seed)
    except Exception as error:
        return TALLY, f"make soak SEED={seed} EXAMPLES={examples} fails:\n" + "\n".join(_stories(error))
    return TALLY, ""


def hunt(point: kill_points.Point) -> tuple[Tally, str]:
    """Short stories about one await until somebody is killed there; what they covered, and the one that failed."""
    TALLY.__init__()  # type: ignore[misc]  # as above
    for seed in range(TRIES):
        try:
            test_simulation.play_hunt(point, seed)
        except Exception as error:
            return TALLY, f"test_simulation.play_hunt({point}, {seed}) fails:\n" + "\n".join(_stories(error))
        if point not in TALLY.never_killed():
            break
    return TALLY, ""


def _stories(error: BaseException) -> Iterator[str]:
    """Every story that went wrong in different ways."""
    if isinstance(error, BaseExceptionGroup):
        for other in error.exceptions:
            yield from _stories(other)
    yield from (str(error), *getattr(error, "__notes__", ()))


def _progress(done: int, of: int, seconds: float) -> None:
    rate = done / seconds
    left = max(0, of - done) / rate
    _say(f"{done} of {of} stories, {rate:.1f} a second, {left / 60:.0f} min left")


def _say(news: str) -> None:
    sys.stdout.write(news + ("\r" if sys.stdout.isatty() else "\n"))
    sys.stdout.flush()


def _told(failure: str) -> int:
    if failure:
        sys.stdout.write("\n" + failure + "\n")
        sys.stdout.flush()
    return int(bool(failure))


if __name__ == "__main__":
    sys.exit(main())
