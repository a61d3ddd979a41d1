"""What the adapters raise: vendor errors are translated into these at the border, by one table per vendor.

    SessionError
    + TransientError       goes away by itself: the session tries again
      + NotKeptError       done, but not as it was sent: what is heard of it is no reason to send it again at once
    + PermanentError       a person has to act; the session looks again soon for once, then at the slowest pace
      + ConflictError      something foreign has the name that we want; it is never touched
    + SharedError          trouble of the whole account (token, zone, tunnel, quota): one breaker, one probe
    + StaleError           the object is not what we last saw (failed test, old version): read and decide again
    + GoneError            the object does not exist (any more)
    + NotLeadingError      the lease is lost or too short for this write: nothing was sent

`reason` is one CamelCase word that a person finds in the README; `text` is stable (no request ids, no
times), so that equal failures compare equal; `remedy` says what a person can do. Unknown vendor errors are
transient, and bounded by the backoff. No secret is ever part of one.
"""


class SessionError(Exception):
    """Base of everything an adapter raises; `str()` is what `last-error` shows."""

    def __init__(self, reason: str, text: str, remedy: str = "") -> None:
        self.reason = reason
        self.text = text
        self.remedy = remedy
        sentences = (text, remedy[:1].upper() + remedy[1:])
        super().__init__(": ".join((reason, ". ".join(part.rstrip(".") for part in sentences if part))))


class TransientError(SessionError):
    """Goes away by itself; `retry_after` is the pause in seconds that the other side asked for, if it did."""

    def __init__(self, reason: str, text: str, remedy: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(reason, text, remedy)
        self.retry_after = retry_after


class NotKeptError(TransientError):
    """The other side took it, and keeps something else."""


class PermanentError(SessionError):
    """Nothing gets better before a person acts."""


class ConflictError(PermanentError):
    """A foreign object has the wanted name."""


class SharedError(SessionError):
    """Trouble of the whole account or cluster: every session waits for the same probe."""


class StaleError(SessionError):
    """A compare-and-set that did not hold: nothing was written."""


class GoneError(SessionError):
    """The object does not exist (any more)."""


class NotLeadingError(SessionError):
    """The replica may not write now: nothing was sent."""

    def __init__(self) -> None:
        super().__init__("NotLeading", "this replica does not hold the lease long enough for a write")
