"""How many requests may go out: a strict window over the whole process, and the pause that a 429 asks for.

`client` asks before every request. Cloudflare blocks a token that sends more than 1,200 requests in five minutes for
the next five, its dashboard included, so the window is a true sliding one: no burst on top of a rate.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from contextlib import suppress

WINDOW = 300.0  # seconds, Cloudflare's
SIZE = 1000  # requests per window: the rest of the 1,200 is for people and tools with the same token
LONGEST_PACE = 30.0  # seconds between two writes of one writer when the budget is all but used up
SHORTEST_SLEEP = 0.001  # seconds: what rounding leaves of a pause must not become a busy loop


class Budget:
    """`now` is monotonic seconds.

    It outlives the terms of this process: what an earlier one has spent counts, and what a 429 asked for still holds.
    """

    def __init__(self, now: Callable[[], float], *, size: int = SIZE) -> None:
        self._now = now
        self._size = size
        self._spent: deque[float] = deque()
        self._blocked_until = -math.inf
        self._turn = asyncio.Lock()
        self.begin_term()

    def begin_term(self) -> None:
        """At most half is left: the leader before this one spent an unknown part of it."""
        while self.left > math.ceil(self._size / 2):
            self.spend()

    @property
    def left(self) -> int:
        """Requests that may go out now."""
        while self._spent and self._spent[0] + WINDOW <= self._now():
            self._spent.popleft()
        return self._size - len(self._spent)

    @property
    def blocked_for(self) -> float:
        """Seconds that Cloudflare asked everybody to wait, from now; 0 for none."""
        return max(0.0, self._blocked_until - self._now())

    def block(self, seconds: float) -> None:
        """Nobody sends anything for so long."""
        self._blocked_until = max(self._blocked_until, self._now() + seconds)

    async def room(self, calls: int = 1) -> None:
        """Return once `calls` requests may go out at once; callers are served in turn."""
        async with self._turn:
            await sleep_out(lambda: max(self.blocked_for, self._wait_for(calls)))

    def spend(self) -> float:
        """A request goes out now: when, for `sent`."""
        self._spent.append(self._now())
        return self._spent[-1]

    def sent(self, spent: float) -> None:
        """What was spent then goes out only now: the process may have been suspended in between."""
        with suppress(ValueError):  # for so long that it has come back
            self._spent.remove(spent)
        self._spent.append(self._now())

    def pace(self) -> float:
        """Seconds from one write of a writer to its next, so that what is left lasts for the window."""
        return min(LONGEST_PACE, WINDOW / max(1, self.left))

    def _wait_for(self, calls: int) -> float:
        missing = calls - self.left
        return self._spent[missing - 1] + WINDOW - self._now() if missing > 0 else 0.0


async def sleep_out(left: Callable[[], float]) -> None:
    """Sleep until `left()` (seconds, may grow meanwhile) has come down to 0."""
    while (pause := left()) > 0:
        await asyncio.sleep(max(pause, SHORTEST_SLEEP))
