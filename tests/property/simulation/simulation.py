"""The stage: the scene with replicas of the shipped operator on it, on virtual time, and what fate does to them.

`test_simulation` and `fates` turn each method into a step of a story. Nothing here asserts; `monitor` does.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any
from unittest.mock import patch

from controller import app, reconcile, report
from controller.app import Operator
from controller.settings import Settings
from fsm import record
from fsm.orphans import SweepPlan, plan
from fsm.record import SessionRecord
from fsm.states import State, Trigger
from k8s import listing, routes
from tests.property.simulation import kill_points
from tests.property.simulation.cloudflare import SimulatedTransport
from tests.property.simulation.eyes import Pause
from tests.property.simulation.kube import SimulatedKube, WatchTroubles
from tests.property.simulation.loop import REPLICA, ReplicaTask, SimulatedLoop, StuckError
from tests.property.simulation.network import Network
from tests.property.simulation.scene import Scene

EPOCH = datetime(2026, 11, 23, tzinfo=UTC)
PAGE = 2  # objects: lists of several pages, which may be cut short between two of them
SELECTABLE = 1  # session: of two that end at once one may be told of in time, and the other not
REARRANGEMENTS = 0.3  # of the foreign writes between a read and a write: a wildcard, another order, another field
RESETS = 0.2  # of the others: a tool's whole list, without ours
TOLD = 400  # lines of a story that went wrong: the cause may be as long ago as its end takes
CONCURRENT_WRITES = 2  # so that some have to wait for their turn, as among a thousand sessions


@dataclass
class Replica:
    """One operator process; `task` is its main task."""

    number: int
    operator: Operator
    stop: asyncio.Event
    task: asyncio.Task[None]
    is_neighbour: bool
    is_alive: bool = True
    is_paused: bool = False
    is_killed: bool = False


class Simulation(Scene):
    """A world on virtual time, all of whose chance comes from `seed`."""

    def __init__(self, seed: int, *, watchlist: bool = True, neighbour: int = 0) -> None:
        self.random = Random(seed)
        self.loop = SimulatedLoop(self.random)
        asyncio.set_event_loop(self.loop)
        super().__init__(self.random, self.loop.time, self._unix, watchlist=watchlist, neighbour=neighbour)
        self.network = Network(self.loop, self.random)
        self.troubles = WatchTroubles()
        self.replicas: list[Replica] = []
        self.may_hold: set[int] = set()  # replicas whose identity is wrong: the sweep's brake may trip
        self.held: set[int] = set()  # replicas whose brake ever held something
        self.has_missed_many = False  # whether any replica's may
        self.moves: Counter[tuple[State, Trigger]] = Counter()
        self.happened: Counter[str] = Counter()  # faults, by kind, but for those of single calls
        self.kill_points: set[tuple[str, int]] = set()
        self._patches = ExitStack()
        self._patches.enter_context(patch.object(listing, "PAGE", PAGE))
        self._patches.enter_context(patch.object(app, "SELECTABLE", SELECTABLE))
        for module in (reconcile, report, routes):
            self._patches.enter_context(patch.object(module, "CONCURRENT_WRITES", CONCURRENT_WRITES))
        self._patches.enter_context(patch("controller.reconcile.move", self._counting(record.move)))
        self._patches.enter_context(patch("controller.sweep.plan", self._planned))

    # Replicas

    def start(
        self, changes: Mapping[str, str] | None = None, *, skew: float = 0.0, is_neighbour: bool = False
    ) -> Replica:
        """One more operator, whose wall clock is `skew` seconds off."""
        number = len(self.replicas)
        environment = (self.neighbour if is_neighbour else self.environment) | dict(changes or {})
        settings = Settings.from_env(environment | {"POD_NAME": f"operator-{number}"})
        self.monitor.started(number, settings)
        self.monitor.tell("fate", f"replica {number} starts {'as a neighbour' if is_neighbour else ''} {changes or ''}")
        self.create_operator_pod(f"operator-{number}")
        kube = SimulatedKube(self.api, self.network, self.monitor, self.troubles, self.unix)
        transport = SimulatedTransport(self.world, self.network, self.monitor, self.unix, self._intrude)
        context = copy_context()
        context.run(REPLICA.set, number)
        rng = Random(self.random.getrandbits(32))
        operator = context.run(
            lambda: Operator(settings, kube, transport, now=self.loop.time, wall=partial(self._wall, skew), rng=rng)
        )
        stop = asyncio.Event()
        task = self.loop.create_task(operator.work(stop), context=context)
        mine = Replica(number, operator, stop, task, is_neighbour)
        self.replicas.append(mine)
        self.run(0.0)
        return mine

    def alive(self, *, is_neighbour: bool = False) -> list[Replica]:
        """The replicas of one instance that run, or would if they were not paused."""
        return [replica for replica in self.replicas if replica.is_alive and replica.is_neighbour == is_neighbour]

    def kill(self, replica: Replica) -> None:
        """Kill -9: it stops where it is, for ever."""
        replica.is_alive, replica.is_killed = False, True
        self.monitor.tell("fate", f"replica {replica.number} is killed")
        for task in self.tasks_of(replica):
            self.kill_points.update(kill_points.standing(task))
        self.loop.pause(replica.number)

    def halt_at(self, point: kill_points.Point, steps: int) -> Replica | None:
        """Stop everything in the moment in which a replica (also one that is stopping) stands at this await; whose it
        is, None when nobody came there within so many callbacks."""
        file, _, first, last = point
        return self.halt(
            lambda task: any(name == file and first <= line <= last for name, line in kill_points.standing(task)),
            f"stands at {file}:{first}",
            steps,
        )

    def halt(self, watch: Callable[[ReplicaTask], bool], what: str, steps: int) -> Replica | None:
        """As `halt_at`, when `watch` is true of a task that was just run."""
        found: list[int] = []

        def watched(task: ReplicaTask) -> bool:
            found.extend([task.replica] * watch(task))
            return bool(found)

        self.loop.run_until(watched, steps)
        if not found:
            return None
        self.monitor.tell("fate", f"replica {found[0]} {what}")
        return self.replicas[found[0]]

    def pause(self, replica: Replica) -> None:
        """SIGSTOP."""
        replica.is_paused = True
        self.monitor.tell("fate", f"replica {replica.number} is paused")
        self.monitor.paused[replica.number] = Pause(self.loop.time(), next(ReplicaTask.numbers))
        self.loop.pause(replica.number)

    def resume(self, replica: Replica) -> None:
        """SIGCONT."""
        replica.is_paused = False
        self.monitor.tell("fate", f"replica {replica.number} goes on")
        self.monitor.paused[replica.number].resumed = self.loop.time()
        self.loop.resume(replica.number)

    def terminate(self, replica: Replica) -> None:
        """SIGTERM."""
        self.monitor.tell("fate", f"replica {replica.number} is told to stop")
        replica.stop.set()
        replica.is_alive = False

    def change(self, **changes: str) -> None:
        """The settings are other ones from now on: those of every replica that is started later."""
        before = self.environment
        # An owner id that comes back would find what it had left, as many orphans as the brake holds.
        changes = {name: text.format(number=len(self.replicas)) for name, text in changes.items()}
        if "OWNER_ID" in changes and "OWNER_ID_PREVIOUS" not in changes:
            former = (before.get("OWNER_ID", "opencode-router"), before.get("OWNER_ID_PREVIOUS", ""))
            changes["OWNER_ID_PREVIOUS"] = ",".join(filter(None, former))
        self.former_services.add(before["ROUTER_SERVICE_URL"])
        self.environment = before | changes
        self.former_services.discard(self.environment["ROUTER_SERVICE_URL"])

    def held_back(self) -> list[Replica]:
        """The replicas whose sweep's brake holds something."""
        return [replica for replica in self.replicas if (term := replica.operator.term) and term.sweep.held]

    def tasks_of(self, replica: Replica) -> list[ReplicaTask]:
        """The tasks of a replica that are not done."""
        tasks = asyncio.all_tasks(self.loop)
        return [task for task in tasks if isinstance(task, ReplicaTask) and task.replica == replica.number]

    # Time

    def run(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            StuckError: it does not; with the story.
        """
        try:
            self.loop.run_until_complete(self._sleep(seconds))
        except StuckError:
            text = "\n".join(("nobody has anything to do, or somebody spins\n", *self.monitor.story[-TOLD:]))
            raise StuckError(text) from None

    def _unix(self) -> float:
        return EPOCH.timestamp() + self.loop.time()

    def _wall(self, skew: float) -> datetime:
        return EPOCH + timedelta(seconds=self.loop.time() + skew)

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def calm(self) -> None:
        """No faults any more."""
        self.network.faults["kube"].clear()
        self.network.faults["cloudflare"].clear()
        self.network.down.clear()
        self.network.cut.clear()
        self.network.is_revoked = False
        self.network.slow.clear()
        self.troubles.silent.clear()
        self.troubles.blind.clear()
        self.troubles.disturb.clear()
        self.troubles.delay = 0.0
        self.troubles.are_events_lost = False
        self.troubles.are_routes_lost = False
        self.intruders = 0

    def close(self) -> None:
        """End every replica in peace (nothing of it reaches the world any more), and the loop."""
        self._patches.close()
        self.network.down |= {"kube", "cloudflare"}
        self.troubles.generation += 1
        for replica in self.replicas:
            self.loop.resume(replica.number)
            replica.task.cancel()
        for _ in range(20):
            left = [task for task in asyncio.all_tasks(self.loop) if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            self.loop.run_until_complete(self._gather(left))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
        asyncio.set_event_loop(None)

    async def _gather(self, tasks: list[asyncio.Task[Any]]) -> None:
        await asyncio.gather(*tasks, return_exceptions=True)

    def _intrude(self) -> None:
        """Just before a write of the tunnel has its effect."""
        if self.intruders:
            self.intruders -= 1
            if self.random.random() < REARRANGEMENTS:
                self.rearrange_tunnel()
            else:
                self.write_tunnel(reset=self.random.random() < RESETS)

    def _counting(self, move: Any) -> Any:
        def counted(before: Any, trigger: Trigger, *rest: Any, **more: Any) -> Any:
            moved: SessionRecord = move(before, trigger, *rest, **more)
            self.moves[before.state, trigger] += 1
            self.monitor.moved(REPLICA.get(), before.pod_uid, trigger.value, before.state.value, moved.state.value)
            return moved

        return counted

    def _planned(self, *owned: Any, **more: Any) -> SweepPlan:
        decided = plan(*owned, **more)
        self.held |= {REPLICA.get()} if decided.held else set()
        return decided
