"""What may come back of an effect: a closed set. `controller.perform` makes one of everything that can happen
(exceptions end there); `fsm.record.settle` turns it into the next record.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    """The world is as the effect wants it."""


@dataclass(frozen=True)
class Waiting:
    """Nothing can be said yet, and it is nobody's fault or everybody's: no attempt is counted.

    `error` is shown (a shared breaker is open) or empty (something changed under our feet: look again at once).
    """

    error: str = ""


@dataclass(frozen=True)
class Retry:
    """It failed and will be tried again; `retry_after` is the least pause in seconds that the other side asked for."""

    error: str
    retry_after: float = 0.0


@dataclass(frozen=True)
class Conflict:
    """Something foreign has the wanted name; it stays as it is until the world changes."""

    error: str


@dataclass(frozen=True)
class Failed:
    """It failed and a person has to act; tried again at the slowest pace."""

    error: str


Outcome = Done | Waiting | Retry | Conflict | Failed
