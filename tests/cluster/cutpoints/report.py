"""What was cut, and what came of it: docs/cutpoints.md, and the same table at the end of the run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.cutpoints.cuts import FATES, Cut, Recording, cuts_of
from tests.cluster.described import UPDATE

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cutpoints.md"
SAME = "same end"
_HEAD = f"""# Cut points

What a leader asks of Kubernetes and of Cloudflare during one session's life was recorded from an undisturbed run of
real processes on a real kube-apiserver. Then, for each of these requests, the leader was stopped exactly there, with a
session of its own, and the other replica had to bring the world to the same end: the same records, rules, document,
routes and annotations, nothing foreign changed, and nothing left after the session. `tests/cluster/cutpoints` does it
in every run of the cluster tests, and fails when this page is not what it found. `{UPDATE}=1` writes it anew.

- **killed before the effect**: `kill -9`, and the request never arrives;
- **killed after the effect**: `kill -9`, and nobody hears the answer;
- **asleep, effect late** (writes): stopped beyond its lease; the other replica does everything; then the request
  arrives after all, and the stale leader wakes up and has to stop leading.

Not cut, because they are no part of a session's life: watches (they run all the time, have no effect, and every kill
breaks them anyway), renewals of the lease (by the clock; taking it over is cut), the count of a repeated Event (an
undisturbed run repeats none), the record of a Pod that is gone at once (whether it is still tried is a race).
A read of what is written later stands right before that write, wherever it came.
"""


class Report:
    """`results` grows: for each cut, `SAME` or what went wrong."""

    def __init__(self) -> None:
        self.recordings: Sequence[Recording] = ()
        self.results: dict[Cut, str] = {}

    def failures(self) -> list[str]:
        """Every cut that has no result, or a bad one."""
        wanted = [cut for recording in self.recordings for cut in cuts_of(recording)]
        told = {cut: self.results.get(cut, "was not tried") for cut in wanted}
        return [
            f"{cut.recording.phase.name}: {cut.point}, {cut.fate}: {told[cut]}" for cut in wanted if told[cut] != SAME
        ]

    def lines(self) -> list[str]:
        """The tables."""
        return [line for recording in self.recordings for line in ("", *_table(recording, self.results))]

    def check_page(self) -> None:
        """Compare with the page, or write it when asked for by the environment."""
        text = "\n".join([_HEAD.rstrip(), *self.lines(), ""])
        if os.environ.get(UPDATE):
            PAGE.write_text(text)
        kept = PAGE.read_text() if PAGE.exists() else ""
        assert text == kept, f"docs/cutpoints.md is not what was recorded; {UPDATE}=1 writes it anew"


def _table(recording: Recording, results: Mapping[Cut, str]) -> list[str]:
    head = [f"## {recording.phase.name}", "", f"| request | {' | '.join(FATES)} |", "| --- " * (1 + len(FATES)) + "|"]
    return [*head, *(_row(recording, point, results) for point in recording.points)]


def _row(recording: Recording, point: object, results: Mapping[Cut, str]) -> str:
    tried = {cut.fate: results.get(cut, "not tried") for cut in cuts_of(recording) if cut.point == point}
    cells = [tried.get(fate, "–").partition("\n")[0] for fate in FATES]
    return f"| {point} | {' | '.join(cells)} |"
