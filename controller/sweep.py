"""The sweep: finds what is ours and has no Pod, and releases it to the queue, with a brake.

`resync` calls `after_look` once both halves of the world were looked at and the caches are complete. It removes
nothing itself: a released hash is decided like any other, after a live read of its Pods.
"""

import logging
from collections.abc import Callable, Mapping

from controller.problems import Problems
from controller.reconcile import World
from controller.witness import Witness
from fsm.orphans import SweepPlan, plan

_log = logging.getLogger(__name__)

TOPIC = "sweep"


class Sweep:
    """Orphans seen so far, and what may be done about them."""

    def __init__(
        self,
        *,
        world: World,
        witness: Witness,
        problems: Problems,
        add: Callable[[str], None],
        now: Callable[[], float],
        grace: float,
    ) -> None:
        self._world = world
        self._witness = witness
        self._problems = problems
        self._add = add
        self._now = now
        self._grace = grace
        self._suspects: Mapping[str, float] = {}
        self.held: frozenset[str] = frozenset()  # what the brake held in the last plan

    def after_look(self, *, force: bool = False) -> SweepPlan:
        """Plan on the looks that just ended, release what is due, tell what the brake holds."""
        decided = plan(
            self.owned(),
            self._world.pods.sessions() | self._witness.sessions(),
            self._suspects,
            now=self._now(),
            grace=self._grace,
            force=force,
        )
        self._suspects = decided.suspects
        self.held = decided.held
        self._tell(decided)
        for session in sorted(decided.due):
            _log.warning("orphan released for removal", extra={"session": session, "forced": force})
            self._witness.permit(session)
            self._add(session)
        return decided

    def owned(self) -> frozenset[str]:
        """The hashes of which anything of ours was seen."""
        world = self._world
        return frozenset(world.dns.sessions() | world.tunnel.sessions() | world.routes.sessions())

    def _tell(self, decided: SweepPlan) -> None:
        if decided.held:
            self._problems.tell(
                TOPIC,
                f"SweepHeld: {len(decided.held)} of the sessions that we own have no Pod, too many to believe. Look at "
                "`opencode-cloudflare-operator sweep --dry-run`; if that is right, run `sweep --force`",
            )
        else:
            self._problems.clear(TOPIC)
