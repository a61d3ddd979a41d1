"""One term of leadership: everything that only a leader runs, made anew for each term.

`app` runs it when the elector says so, and cancels it when the lease is lost or the process stops. A new leader begins
with fresh looks because nothing of an earlier term is left in here. The caches of Pods and routes, which stay warm, and
the budget, which remembers, are the process's own.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Never

from cloudflare_ops.budget import Budget
from cloudflare_ops.client import Client
from cloudflare_ops.coalesce import Census
from cloudflare_ops.dns import Dns
from cloudflare_ops.foresight import Foresight
from cloudflare_ops.transport import Transport
from cloudflare_ops.tunnel import Tunnel
from controller.background import Work
from controller.memory import Memory
from controller.metrics import Metrics
from controller.perform import Performer
from controller.ports import Leadership, Living, Pods, Routes
from controller.problems import Problems
from controller.queue import Queue
from controller.reconcile import Reconciler, World
from controller.report import Reporter
from controller.resync import Resync
from controller.settings import Settings
from controller.sweep import Sweep
from controller.witness import Witness
from fsm import codec
from fsm.errors import SessionError

OVERWRITTEN = "tunnel overwritten"
OVERWRITE_SHOWN = 3600.0  # seconds


@dataclass(frozen=True)
class Base:
    """What outlives a term."""

    settings: Settings
    transport: Transport
    budget: Budget
    pods: Pods
    routes: Routes
    living: Callable[[], Living]  # one for each who removes: nobody waits for the answers to another's thousand
    leadership: Leadership
    witness: Witness
    report: Reporter
    problems: Problems
    metrics: Metrics
    caches_incomplete: Callable[[], SessionError | None]
    now: Callable[[], float]
    wall: Callable[[], datetime]
    random: Callable[[], float]


class Term:
    """The leader's half of the operator."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._settings = base.settings
        self._forgetting: asyncio.TimerHandle | None = None
        self._is_due = asyncio.Event()
        self.census = Census()
        base.budget.begin_term()
        base.report.begin_term()
        self.client = self._make_client()
        self.world = self._make_world()
        self._reconciler = self._make_reconciler()
        self.queue = Queue(self._reconciler, self.census)
        self.sweep = self._make_sweep()
        self.resync = self._make_resync()

    async def run(self) -> None:
        """Lead until cancelled; what is in flight to Cloudflare then ends first (its time limit bounds it)."""
        try:
            self.look_over()
            async with asyncio.TaskGroup() as tasks:
                for work in (*self.writers(), self.resync.run, self._look_over):
                    tasks.create_task(work(), name=f"leader: {work.__qualname__}")
        finally:
            if self._forgetting:
                self._forgetting.cancel()
            await self.queue.stop()

    def writers(self) -> tuple[Work, ...]:
        """What has to run for anything to be written to Cloudflare."""
        return (self.client.run, self._dns.run, self._tunnel.run, self._tunnel.read_ahead)

    def look_over(self) -> None:
        """Put every session that has something to do into the queue, soon."""
        self._is_due.set()

    async def _look_over(self) -> Never:
        while True:
            await self._is_due.wait()
            self._is_due.clear()
            everybody = self._base.pods.sessions() | self._base.witness.sessions()
            ready = frozenset(filter(self._says_ready, everybody))
            for session in everybody - ready:
                self.queue.add(session)
            # One by one, and only who is not at rest gets a place in the queue: thousands who were Ready and had one
            # each held up for seconds whoever had just come, and the group that he waited for.
            for session in ready:
                if not self._is_at_rest(session):
                    self.queue.add(session)
                await asyncio.sleep(0)

    def _is_at_rest(self, session: str) -> bool:
        # A bug must neither end the term nor hold up the others: the queue meets it again, and tells.
        with suppress(Exception):
            return self._reconciler.is_at_rest(session)
        return False

    def _says_ready(self, session: str) -> bool:
        pods = self._base.pods.of(session)
        return bool(pods) and all(codec.says_ready(pod.annotations) and not pod.deleting for pod in pods)

    def _overwritten(self, read: int, written: int) -> None:
        """Cloudflare let us write over a version that we had not read: all that is left to do is to say so."""
        self._base.metrics.overwrites.inc()
        if self._forgetting:
            self._forgetting.cancel()
        # An alert on open problems has to end some time; the metric and the log keep it.
        loop = asyncio.get_running_loop()
        self._forgetting = loop.call_later(OVERWRITE_SHOWN, self._base.problems.clear, OVERWRITTEN)
        self._base.problems.tell(
            OVERWRITTEN,
            f"TunnelOverwritten: somebody wrote the tunnel configuration between our read of version {read} and our "
            f"write of version {written}; their edit may be lost. Apply it again, and see the README on other writers",
        )

    def _make_client(self) -> Client:
        return Client(
            self._base.transport,
            zone=self._settings.cf_zone_id,
            tunnel=self._settings.cf_tunnel_id,
            now=self._base.now,
            remaining=self._base.leadership.remaining,
            on_recovered=self.look_over,
            budget=self._base.budget,
            limit=self._settings.call_limit,
            calls=self._base.metrics.calls,
        )

    def _make_world(self) -> World:
        profile, base, foresight = self._settings.profile, self._base, Foresight()
        self._dns = Dns(
            self.client,
            profile,
            living=base.living(),
            foresight=foresight,
            census=self.census,
            now=base.now,
        )
        self._tunnel = Tunnel(
            self.client,
            profile,
            claim=self._dns.claim,
            living=base.living(),
            foresight=foresight,
            census=self.census,
            now=base.now,
            on_overwrite=self._overwritten,
        )
        return World(base.pods, self._dns, self._tunnel, base.routes)

    def _make_reconciler(self) -> Reconciler:
        return Reconciler(
            profile=self._settings.profile,
            world=self.world,
            perform=Performer(self._dns, self._tunnel, self._base.routes),
            leadership=self._base.leadership,
            witness=self._base.witness,
            memory=Memory(),
            report=self._base.report,
            problems=self._base.problems,
            wall=self._base.wall,
            random=self._base.random,
        )

    def _make_sweep(self) -> Sweep:
        return Sweep(
            world=self.world,
            witness=self._base.witness,
            problems=self._base.problems,
            add=self.queue.add,
            now=self._base.now,
            grace=self._settings.orphan_grace,
        )

    def _make_resync(self) -> Resync:
        return Resync(
            world=self.world,
            sweep=self.sweep,
            problems=self._base.problems,
            look_over=self.look_over,
            caches_incomplete=self._base.caches_incomplete,
            now=self._base.now,
            interval=self._settings.resync_interval,
        )
