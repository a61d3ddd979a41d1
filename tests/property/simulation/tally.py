"""What a number of stories covered: filled by `test_simulation` after each, shown by `soak`."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from fsm.table import TRANSITIONS
from tests.property.simulation import kill_points
from tests.property.simulation.simulation import Simulation

MOVES = frozenset((source.value, row.trigger.value) for row in TRANSITIONS for source in row.sources)


@dataclass
class Tally:
    """Counts over stories; small and picklable, so that several processes can add theirs up."""

    examples: int = 0
    steps: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    stood: set[tuple[str, int]] = field(default_factory=set)
    most_writes: int = 0
    lost_edits: int = 0

    def add(self, sim: Simulation) -> None:
        """One story is over."""
        self.examples += 1
        self.faults += Counter({fault.value: times for fault, times in sim.network.counted.items()})
        self.happened += sim.happened
        self.states += sim.monitor.counts
        self.moves += Counter({(state.value, trigger.value): n for (state, trigger), n in sim.moves.items()})
        self.stood |= sim.kill_points
        self.most_writes = max(self.most_writes, sim.monitor.most_writes)
        self.lost_edits += sim.monitor.lost_edits

    def merge(self, other: "Tally") -> None:
        """Add another process's."""
        self.examples += other.examples
        self.steps += other.steps
        self.faults += other.faults
        self.happened += other.happened
        self.states += other.states
        self.moves += other.moves
        self.stood |= other.stood
        self.most_writes = max(self.most_writes, other.most_writes)
        self.lost_edits += other.lost_edits

    def never_killed(self) -> list[kill_points.Point]:
        """The awaits of the product at which no replica was ever killed."""
        return sorted(
            point
            for point in kill_points.every()
            if not any((point[0], line) in self.stood for line in range(point[2], point[3] + 1))
        )

    def never_moved(self) -> list[str]:
        """The moves of the table that no session made."""
        return sorted(f"{trigger} from {state}" for state, trigger in MOVES - self.moves.keys())

    def lines(self) -> Iterator[str]:
        """The summary."""
        yield f"examples: {self.examples}, steps: {self.steps}"
        yield "faults of calls: " + _counted(self.faults)
        yield "other faults: " + _counted(self.happened)
        yield "states written: " + _counted(self.states)
        yield f"moves of the table: {len(self.moves.keys() & MOVES)} of {len(MOVES)}"
        yield from (f"  never: {move}" for move in self.never_moved())
        yield f"most Cloudflare writes of a replica in a minute: {self.most_writes}"
        yield f"foreign edits that were overwritten between read and write: {self.lost_edits}"
        every, missed = len(kill_points.every()), self.never_killed()
        yield f"kill points: {every - len(missed)} of {every}"
        yield from (f"  never: {file}:{line} ({function})" for file, function, line, _ in missed)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {times}" for name, times in counts.most_common())


TALLY = Tally()
