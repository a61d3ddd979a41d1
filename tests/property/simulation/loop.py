"""An event loop on which nothing happens by itself: a seeded dice decides which ready callback runs next, time jumps.

Each replica's tasks run in a context that names the replica (`REPLICA`), so that a replica can be stopped at any await
(`pause`), for ever if need be (a kill: whatever it had not sent is never sent).
"""

import asyncio
import heapq
import marshal
from collections.abc import Callable
from contextvars import Context, ContextVar
from itertools import count
from random import Random
from typing import Any

REPLICA: ContextVar[int] = ContextVar("REPLICA", default=-1)  # -1: the world itself
SENT: ContextVar[float | None] = ContextVar("SENT", default=None)  # when the request that has its effect now was sent


SPINNING = 100_000  # callbacks at one moment: hundreds are many


def copied(document: Any) -> Any:
    """A JSON document that nobody else has."""
    # Half of the time of `json`; what is no JSON was never sent.
    return marshal.loads(marshal.dumps(document))


class StuckError(Exception):
    """Nothing is ready and no timer is set, or something is ready all the time and time does not go on."""


class ReplicaTask(asyncio.Task[Any]):
    """A task that knows whose it is.

    Its hash is its number in the story: task groups keep sets, whose order would be that of addresses in memory.
    """

    replica = -1
    numbers = count()

    def __new__(cls, *args: Any, **more: Any) -> "ReplicaTask":
        task: ReplicaTask = super().__new__(cls, *args, **more)
        task.number = next(cls.numbers)
        return task

    def __hash__(self) -> int:
        return self.number

    number: int


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Single steps: one callback at a time."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self._virtual = 1_000.0
        self._paused: set[int] = set()
        self._held: dict[int, list[Any]] = {}
        self._left = 0
        self._watch: Callable[[ReplicaTask], bool] | None = None
        self._moments = 0
        self.complaints: list[str] = []
        ReplicaTask.numbers = count()
        self.set_task_factory(_new_task)
        self.set_exception_handler(lambda _, context: self.complaints.append(_told(context)))

    def time(self) -> float:
        return self._virtual

    def pause(self, replica: int) -> None:
        """Nothing of this replica runs any more."""
        self._paused.add(replica)

    def resume(self, replica: int) -> None:
        """It goes on where it stopped, and finds that time has passed."""
        self._paused.discard(replica)
        self._ready.extend(self._held.pop(replica, ()))

    def run_steps(self, steps: int) -> None:
        """Run so many callbacks, and stop wherever that is: also where no time passes."""
        self._left = steps
        self.run_forever()

    def run_until(self, watch: Callable[[ReplicaTask], bool], steps: int) -> None:
        """Run until `watch` is true of the task that ran last; at most so many callbacks."""
        self._watch = watch
        self.run_steps(steps)
        self._watch = None

    def _run_once(self) -> None:
        # Overridden whole: the base class runs everything that is ready in one go, in the order of arrival.
        handle = self._next()
        if handle is not None:
            handle._run()
            if self._watch is not None:
                task = getattr(handle._callback, "__self__", None)  # of a callback that is a step of a task
                if isinstance(task, ReplicaTask) and self._watch(task):
                    self._left = 1
        if self._left:
            self._left -= 1
            if not self._left:
                self.stop()

    def _next(self) -> Any:
        self._drop_cancelled()
        ready = self._ready
        if not ready:
            if not self._scheduled:
                raise StuckError
            self._virtual = max(self._virtual, self._scheduled[0]._when)
            self._moments = 0
        self._moments += 1
        if self._moments > SPINNING:
            raise StuckError
        while self._scheduled and self._scheduled[0]._when <= self._virtual:
            timer = heapq.heappop(self._scheduled)
            timer._scheduled = False
            ready.append(timer)
        if len(ready) > 1:
            # Any of them; the others keep their turn. `randrange` takes three times as long.
            ready.rotate(-int(self._random.random() * len(ready)))
        handle: Any = ready.popleft()
        if handle._cancelled:
            return None
        replica = handle._context.get(REPLICA, -1)
        if replica in self._paused:
            self._held.setdefault(replica, []).append(handle)
            return None
        return handle

    def _drop_cancelled(self) -> None:
        while self._scheduled and self._scheduled[0]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(self._scheduled)._scheduled = False

    # What the base class keeps for itself, named for the type checker.
    _ready: Any
    _scheduled: Any
    _timer_cancelled_count: int


def _new_task(
    loop: asyncio.AbstractEventLoop, coroutine: Any, /, *, context: Context | None = None, **_: object
) -> ReplicaTask:
    task = ReplicaTask(coroutine, loop=loop, context=context)
    task.replica = REPLICA.get() if context is None else context.get(REPLICA, -1)
    return task


def _told(context: dict[str, Any]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"
