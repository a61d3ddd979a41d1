"""Who may be removed: hashes whose Pod was seen to go, and orphans that the sweep released.

Both replicas' watches are witnesses; only the leader acts (`reconcile` asks `is_permitted`). A permission ends when
the session lives again or nothing of it is left.
"""

from collections.abc import Callable, Set

from fsm.observation import PodFacts

# The standby never learns when the leader is done. What is older is left to the sweep, which needs no witness.
KEPT = 900.0  # seconds


class Witness:
    """Permissions to begin a removal, by hash."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._permitted: dict[str, float] = {}
        self._last: dict[str, PodFacts] = {}

    def saw_go(self, pod: PodFacts) -> None:
        """The Pod was seen to go. What its record says is all that anybody knows of a rule of a former service."""
        self._last[pod.session] = pod
        self.permit(pod.session)

    def last_of(self, session: str) -> PodFacts | None:
        """The session's Pod that was seen to go last, while the removal is permitted."""
        return self._last.get(session)

    def permit(self, session: str) -> None:
        """The session's Pod was seen to go, or the sweep has waited long enough."""
        self._permitted[session] = self._now()

    def forget(self, session: str) -> None:
        """The session lives, or nothing of it is left."""
        self._permitted.pop(session, None)
        self._last.pop(session, None)

    def refute(self, session: str, began: float) -> None:
        """A live Pod was seen by a list sent at `began`. One that we do not watch (its label was changed, say) will
        never be seen here: without this the removal would be tried, and refused, every second as long as it lives."""
        if self._permitted.get(session, began) < began:
            self.forget(session)

    def is_permitted(self, session: str) -> bool:
        """Whether a removal may begin; the proof that no Pod is live comes later, from the API server."""
        return session in self._permitted

    def sessions(self) -> Set[str]:
        """The hashes that may be removed."""
        return self._permitted.keys()

    def prune(self) -> None:
        """Drop what is too old; called now and then by a replica that does not lead."""
        oldest = self._now() - KEPT
        for session in [session for session, since in self._permitted.items() if since < oldest]:
            self.forget(session)
