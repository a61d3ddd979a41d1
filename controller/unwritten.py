"""Records that could not be written: how often in a row, when to try again, and what people are told meanwhile.

`reconcile` tells each failure and asks before each write. A session's own annotations cannot say why they are not
written, so `problems` does.
"""

import asyncio
from collections.abc import Callable

from controller.problems import Problems
from fsm.errors import NotKeptError, PermanentError, SessionError

PAUSES = (1.0, 30.0)  # seconds after the first failure in a row, and at most
TOLD_AFTER = 3  # failures in a row: a short outage is no news
TOPIC = "write the record"


class Unwritten:
    """The sessions whose record was not written the last time."""

    def __init__(self, problems: Problems, random: Callable[[], float]) -> None:
        self._problems = problems
        self._random = random
        self._failures: dict[str, int] = {}
        self._told: dict[str, str] = {}  # session -> why
        self._held: dict[str, tuple[float, NotKeptError]] = {}  # session -> until when (time of the loop), and why

    def check(self, session: str) -> None:
        """Raise what was met while its pause lasts, if what is heard of the Pod is no reason to try again earlier.

        A policy that changes annotations answers each write with a change: 2,000 patches in five seconds.
        """
        until, error = self._held.get(session, (0.0, None))
        if error and until > _now():
            raise error.with_traceback(None)

    def failed(self, session: str, error: SessionError) -> float:
        """One more failure, or the one that `check` has raised again; the seconds until the next try."""
        until, held = self._held.get(session, (0.0, None))
        if error is held:
            return until - _now()
        failures = self._failures[session] = self._failures.get(session, 0) + 1
        if isinstance(error, PermanentError) or failures >= TOLD_AFTER:
            self._told[session] = str(error)
            self._tell()
        first, most = PAUSES
        pause = float(min(most, first * 2 ** min(failures - 1, 8))) * (0.5 + self._random() / 2)
        if isinstance(error, NotKeptError):
            self._held[session] = (_now() + pause, error)
        return pause

    def ended(self, session: str) -> None:
        """The record is written, or needs not to be."""
        for trouble in (self._failures, self._told, self._held):
            trouble.pop(session, None)
        self._tell()

    def _tell(self) -> None:
        """One of them is named."""
        if self._told:
            first, text = next(iter(self._told.items()))
            self._problems.tell(TOPIC, f"{text}; the record of session {first} is not written")
        else:
            self._problems.clear(TOPIC)


def _now() -> float:
    return asyncio.get_running_loop().time()
