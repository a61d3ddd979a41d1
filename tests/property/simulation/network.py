"""What happens to a request between a replica and an API: it takes its time, and it or its answer may get lost.

The effect belongs to the world: it comes although the replica that asked is paused, dead or tired of waiting.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from enum import Enum
from random import Random
from typing import TypeVar

from tests.property.simulation.loop import REPLICA, SENT

_T = TypeVar("_T")


class Fault(Enum):
    """What becomes of one request."""

    LOST_BEFORE = "lost before the effect"
    LOST_AFTER = "lost after the effect"
    ERROR_BEFORE = "5xx before the effect"
    ERROR_AFTER = "5xx after the effect"
    LATE_EFFECT = "effect after the client gave up"
    STALE_ANSWER = "answer of long ago"
    THROTTLED = "429 with Retry-After"
    CUT_SHORT = "list cut short"


LATE = 25.0  # seconds: more than any time limit of ours
STALE = 6.0  # seconds: less than a time limit, so that the answer is still believed


class LostError(Exception):
    """There is no answer; `sent` tells whether the request may have had its effect."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("lost")
        self.sent = sent


class FaultyError(Exception):
    """The API answers with an error instead of the truth."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


class Network:
    """The wires between replicas and APIs."""

    def __init__(self, loop: asyncio.AbstractEventLoop, random: Random) -> None:
        self._loop = loop
        self._random = random
        self.faults: dict[str, deque[Fault]] = {"kube": deque(), "cloudflare": deque()}
        self.slow: dict[str, float] = {}  # services whose answers take so many seconds longer
        self.is_revoked = False  # whether Cloudflare knows the token no more
        self.down: set[str] = set()  # services that answer nobody
        self.cut: set[tuple[int, str]] = set()  # (replica, service) pairs between which nothing passes
        self.counted: dict[Fault, int] = dict.fromkeys(Fault, 0)

    def is_reachable(self, service: str) -> bool:
        """Whether the current replica's packets arrive."""
        return service not in self.down and (REPLICA.get(), service) not in self.cut

    async def exchange(
        self, service: str, effect: Callable[[], _T], cut: Callable[[_T], _T] = lambda answer: answer
    ) -> _T:
        """The answer of `effect`, which is carried out by the world at some time; `cut` makes a list shorter.

        Raises:
            LostError: there was none.
            FaultyError: it was an error.
        """
        # Still the replica's: it may be paused or killed here, with everything checked and nothing sent.
        await asyncio.sleep(self._way())
        if not self.is_reachable(service):
            await asyncio.sleep(0.01)
            raise LostError(sent=False)
        fault = self.faults[service].popleft() if self.faults[service] else None
        # What is no list cannot be cut: that is counted when it has been done.
        if fault not in (None, Fault.CUT_SHORT):
            self.counted[fault] += 1
        answer: asyncio.Future[_T] = self._loop.create_future()
        context = copy_context()
        context.run(REPLICA.set, -1)
        context.run(SENT.set, self._loop.time())
        begun = LATE if fault is Fault.LATE_EFFECT else 0.0
        late = self.slow.get(service, 0.0) + (STALE if fault is Fault.STALE_ANSWER else 0.0)
        self._loop.call_later(begun, self._carry_out, effect, cut, fault, late, answer, context=context)
        return await answer

    # Callbacks of the world instead of a task: there are thousands in a story.
    def _carry_out(
        self,
        effect: Callable[[], _T],
        cut: Callable[[_T], _T],
        fault: Fault | None,
        late: float,
        answer: "asyncio.Future[_T]",
        /,
    ) -> None:
        try:
            result = _answer(effect, fault)
        except (LostError, FaultyError) as error:
            if not answer.done():
                answer.set_exception(error)
                answer.exception()  # asked for, so that nobody complains when the replica is gone
            return
        told = cut(result) if fault is Fault.CUT_SHORT else result
        self.counted[Fault.CUT_SHORT] += told is not result
        self._loop.call_later(self._way() + late, _deliver, answer, told)

    def _way(self) -> float:
        return self._random.uniform(0.001, 0.2)


def _answer(effect: Callable[[], _T], fault: Fault | None) -> _T:
    match fault:
        case Fault.LOST_BEFORE:
            raise LostError(sent=True)
        case Fault.ERROR_BEFORE | Fault.THROTTLED:
            raise FaultyError(fault)
    result = effect()
    match fault:
        case Fault.LOST_AFTER | Fault.LATE_EFFECT:
            raise LostError(sent=True)
        case Fault.ERROR_AFTER:
            raise FaultyError(fault)
    return result


def _deliver(answer: "asyncio.Future[_T]", result: _T) -> None:
    if not answer.done():
        answer.set_result(result)
