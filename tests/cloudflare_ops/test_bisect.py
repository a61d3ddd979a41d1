"""One bad item fails alone, for a number of calls that its logarithm bounds."""

import asyncio
import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from cloudflare_ops.bisect import PATIENCE, bisect
from fsm.errors import PermanentError


class Refused(PermanentError):  # noqa: N818 -- a test's own
    pass


class Judge:
    def __init__(self, bad: set[int]) -> None:
        self.bad = bad
        self.calls = 0
        self.taken: list[int] = []

    async def send(self, items: Sequence[int]) -> None:
        self.calls += 1
        if self.bad & set(items):
            raise Refused("Bad", "no")
        self.taken += items


@given(st.integers(1, 300), st.sets(st.integers(0, 299), max_size=PATIENCE))
def test_exactly_the_bad_ones_fail_and_the_calls_are_bounded(size: int, bad: set[int]) -> None:
    judge = Judge({item for item in bad if item < size})
    failures = asyncio.run(bisect(range(size), judge.send, Refused))
    assert [item for item, _ in failures] == sorted(judge.bad)
    assert judge.taken == [item for item in range(size) if item not in judge.bad]
    assert judge.calls <= 1 + 2 * len(judge.bad) * math.ceil(math.log2(max(2, size)))


@given(st.integers(1, 300))
def test_when_all_are_refused_it_soon_gives_up(size: int) -> None:
    judge = Judge(set(range(size)))
    failures = asyncio.run(bisect(range(size), judge.send, Refused))
    assert [item for item, _ in failures] == list(range(size))
    assert judge.calls <= 2 * PATIENCE + math.ceil(math.log2(max(2, size)))


def test_it_gives_up_only_while_nothing_at_all_was_taken_and_with_the_last_refusal() -> None:
    class Numbered:
        def __init__(self, good: set[int]) -> None:
            self.good = good
            self.calls: list[list[int]] = []

        async def send(self, items: Sequence[int]) -> None:
            self.calls.append(list(items))
            if not set(items) <= self.good:
                raise Refused("Bad", f"call {len(self.calls)}")

    judge = Numbered(set())
    failures = asyncio.run(bisect(range(64), judge.send, Refused))
    singles = [call for call in judge.calls if len(call) == 1]
    assert len(singles) == PATIENCE
    last = max(number for number, call in enumerate(judge.calls, 1) if len(call) == 1)
    assert {str(error) for item, error in failures if [item] not in singles} == {f"Bad: call {last}"}

    # The first, and something in the middle of a second half: what was taken once counts for good.
    judge = Numbered({0})
    asyncio.run(bisect(range(64), judge.send, Refused))
    assert len([call for call in judge.calls if len(call) == 1]) == 64
    judge = Numbered({0, 1, 4})
    asyncio.run(bisect(range(64), judge.send, Refused))
    assert [63] in judge.calls
