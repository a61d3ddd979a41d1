"""Which hashes the sweep releases for removal, and the brake that stops it.

`controller.sweep` calls `plan` after each complete look; a released hash goes into the queue, where everything about
it is looked at again. Witnessed removals never come here.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

BRAKE_ABOVE = 5  # so many orphans at once are believed whatever their share


@dataclass(frozen=True)
class SweepPlan:
    """`due` may be removed now; `held` would be, but for the brake; `suspects` (hash -> monotonic time of the first
    look that missed its Pod) goes into the next plan."""

    due: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    suspects: Mapping[str, float] = field(default_factory=dict, hash=False)


def plan(
    owned: Set[str],
    accounted: Set[str],
    suspects: Mapping[str, float],
    *,
    now: float,
    grace: float,
    force: bool = False,
) -> SweepPlan:
    """The sweep after one look.

    `owned`: hashes of which something of ours exists. `accounted`: hashes with a Pod, or whose Pod was seen to go.
    An orphan is due once two looks missed its Pod over more than `grace` seconds. More than half of what we own and
    more than five at once is no clean-up but a list that lied or a changed identity: nothing is due then. `force`
    (a person asked) takes grace and brake away.
    """
    missed = {session: suspects.get(session, now) for session in owned - accounted}
    ripe = frozenset(
        session for session, first in missed.items() if force or (session in suspects and now - first > grace)
    )
    if not force and len(missed) > BRAKE_ABOVE and 2 * len(missed) > len(owned):
        return SweepPlan(held=frozenset(missed), suspects=missed)
    return SweepPlan(due=ripe, suspects=missed)
