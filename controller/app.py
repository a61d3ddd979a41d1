"""The operator: clients, caches, election and health, put together and kept running until somebody says stop.

`cli` calls `run`. Order of a start: health server, watches, election; of a stop: the election's work first (a write
in flight may finish), the lease is released, then everything else goes. Neither Kubernetes nor Cloudflare being down or
wrong ends the process, at the start or later.
"""

import asyncio
import logging
import random
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Never

from cloudflare_ops.budget import Budget
from cloudflare_ops.transport import SdkTransport, Transport
from controller import clock, sweep_request
from controller.announce import Announcer
from controller.background import Work
from controller.health import Health
from controller.living import SharedLiving
from controller.metrics import Metrics
from controller.mislabeled import Mislabeled
from controller.problems import Problems
from controller.report import Reporter
from controller.settings import Settings
from controller.status import Status
from controller.term import Base, Term
from controller.witness import Witness
from fsm.errors import PermanentError, SessionError
from k8s.client import Kube, connect
from k8s.elector import Elector
from k8s.events import Events
from k8s.lease_store import LeaseStore
from k8s.one_pod import one_pod
from k8s.pods import SELECTABLE, Pods
from k8s.routes import Routes

_log = logging.getLogger(__name__)

PRUNE = 60.0  # seconds between two looks at what a standby may forget


class UnusableError(PermanentError):
    """The surroundings cannot be used at all (no kubeconfig, port taken): the process ends with exit code 2."""


async def run(settings: Settings) -> int:
    """Run the operator until SIGTERM or SIGINT; returns the exit code.

    Raises:
        UnusableError: it cannot even start.
    """
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with worlds(settings) as (kube, transport):
        operator = Operator(settings, kube, transport)
        await operator.run(stop)
    return 0


@asynccontextmanager
async def worlds(settings: Settings) -> AsyncIterator[tuple[Kube, Transport]]:
    """Connections to both APIs.

    Raises:
        UnusableError: no API server is configured, or a proxy is of a kind that the libraries do not know.
    """
    transport = _transport(settings)
    try:
        async with connect() as kube:
            yield kube, transport
    except PermanentError as error:
        if error.reason != "KubernetesUnconfigured":
            raise
        raise UnusableError(error.reason, error.text, error.remedy) from error
    finally:
        await transport.close()


def _transport(settings: Settings) -> SdkTransport:
    try:
        return SdkTransport(settings.cf_api_token, base_url=settings.cloudflare_base_url)
    except Exception as error:
        # The settings are valid: what is left is what its library reads by itself (and may quote: a password).
        text = "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or NO_PROXY cannot be used"
        remedy = "give proxies as http://host:port, and exceptions as names and addresses, without IPv6 ranges"
        raise UnusableError("ProxyUnusable", text, remedy) from error


class Operator:
    """One replica."""

    def __init__(
        self,
        settings: Settings,
        kube: Kube,
        transport: Transport,
        *,
        now: Callable[[], float] = clock.monotonic,
        wall: Callable[[], datetime] = clock.wall,
        rng: random.Random | None = None,
    ) -> None:
        self._settings = settings
        self._kube = kube
        self._now = now
        self._wall = wall
        self._rng = rng or random.Random()  # noqa: S311 (jitter, and a name that no other process has: no secret)
        self._term: Term | None = None
        self._led: asyncio.TaskGroup | None = None  # what else a leader does; ends with its term
        self.problems = Problems()
        self.metrics = Metrics()
        self.witness = Witness(now)
        self.events = Events(kube, instance=settings.pod_name, wall=wall)
        self._read_pod = partial(one_pod, kube, settings.watch_namespace)
        self._mislabeled = Mislabeled(self.events, self._read_pod)
        self.elector = self._make_elector()
        self.pods = self._make_pods()
        self._living = partial(SharedLiving, self.pods.live, self.witness.refute, now, portion=SELECTABLE)
        self.routes = self._make_routes()
        self.base = self._make_base(transport)
        self._status = Status(self, now)

    def _make_elector(self) -> Elector:
        settings = self._settings
        return Elector(
            LeaseStore(self._kube, namespace=settings.watch_namespace, name=settings.lease_name),
            identity=f"{settings.pod_name}_{self._rng.getrandbits(32):08x}",
            duration=settings.lease_duration,
            now=self._now,
            wall=self._wall,
            on_annotations=self._on_lease,
            jitter=self._rng.random,
        )

    def _make_pods(self) -> Pods:
        return Pods(
            self._kube,
            namespace=self._settings.watch_namespace,
            selector=self._settings.pod_label_selector,
            now=self._now,
            on_change=self._changed,
            on_gone=self.witness.saw_go,
            on_invalid=self._mislabeled.found,
            jitter=self._rng.random,
        )

    def _make_routes(self) -> Routes:
        settings = self._settings
        return Routes(
            self._kube,
            namespace=settings.ingressroute_namespace,
            owners=(settings.owner_id, *settings.owner_id_previous),
            living=self._living(),
            remaining=self.elector.remaining,
            now=self._now,
            on_change=self._changed,
            on_recovered=self._recovered,
            time_limit=settings.call_limit,
            jitter=self._rng.random,
        )

    def _make_base(self, transport: Transport) -> Base:
        return Base(
            settings=self._settings,
            transport=transport,
            budget=Budget(self._now, size=self._settings.cf_request_budget),
            pods=self.pods,
            routes=self.routes,
            living=self._living,
            leadership=self.elector,
            witness=self.witness,
            report=Reporter(self.events, self.metrics),
            problems=self.problems,
            metrics=self.metrics,
            caches_incomplete=self.caches_incomplete,
            now=self._now,
            wall=self._wall,
            random=self._rng.random,
        )

    def _make_announcer(self) -> Announcer:
        own = partial(self._read_pod, self._settings.pod_name)
        return Announcer(problems=self._status.problems, own_pod=own, events=self.events)

    @property
    def term(self) -> Term | None:
        """What runs while this replica leads."""
        return self._term

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set.

        Raises:
            UnusableError: the health port cannot be had.
        """
        async with self._health_server():
            await self.work(stop)

    async def work(self, stop: asyncio.Event) -> None:
        """Everything but the health server, until `stop` is set."""
        async with asyncio.TaskGroup() as tasks:
            followers = [
                tasks.create_task(work()) for work in (*self.followers(), self._prune, self._make_announcer().run)
            ]
            election = tasks.create_task(self.elector.run(self._lead), name="election")
            await stop.wait()
            _log.info("stopping")
            election.cancel()
            await asyncio.wait([election])
            for follower in followers:
                follower.cancel()

    def followers(self) -> tuple[Work, ...]:
        """The watches: they run on the leader and on the standby."""
        return (self.pods.reflector.run, self.routes.reflector.run)

    def caches_incomplete(self) -> SessionError | None:
        """Why the watches have not listed everything, or do not go on."""
        return self.pods.reflector.incomplete or self.routes.reflector.incomplete

    @asynccontextmanager
    async def _health_server(self) -> AsyncIterator[None]:
        settings = self._settings
        health = Health(
            status=self._status.report, stuck=self._status.stuck, refresh=self._status.refresh, metrics=self.metrics
        )
        try:
            runner, port = await health.start(settings.health_host or None, settings.health_port)
        except OSError as error:
            where = f"port {settings.health_port} of {settings.health_host or 'all addresses'}"
            text = f"{where} for /healthz cannot be had ({error.strerror})"
            remedy = "set HEALTH_PORT to one that is free (in a Pod also in sidecar.yaml), HEALTH_HOST to nothing"
            raise UnusableError("HealthPortTaken", text, remedy) from error
        _log.info("serving /healthz", extra={"port": port})
        try:
            yield
        finally:
            await runner.cleanup()

    async def _lead(self) -> None:
        _log.info("leading")
        async with asyncio.TaskGroup() as led:
            term = Term(self.base)
            self._led, self._term = led, term
            try:
                led.create_task(self._mislabeled.run())
                self._on_lease(self.elector.facts.annotations)
                await term.run()
            finally:
                # Before the group ends what is left in it: it takes nothing new from then on.
                self._term = self._led = None
                self.problems.clear_all()
                _log.info("not leading any more")

    def _changed(self, session: str) -> None:
        if self._term is not None:
            self._term.queue.add(session)

    def _recovered(self) -> None:
        if self._term is not None:
            self._term.look_over()

    def _on_lease(self, annotations: Mapping[str, str]) -> None:
        """A person may have asked for a sweep; only the leader answers."""
        request = sweep_request.pending(annotations)
        if request and self._term and self._led:
            self._led.create_task(self._answer(request, self._term))

    async def _answer(self, request: sweep_request.Request, term: Term) -> None:
        def is_asked() -> bool:
            # The look may have waited for minutes, for a budget that is used up: who asked may be gone.
            return sweep_request.pending(self.elector.facts.annotations) == request

        try:
            plan = await term.resync.once(force=is_asked)
        except SessionError as error:
            result = sweep_request.Result(request.id, error=str(error))
        else:
            result = sweep_request.Result(request.id, tuple(sorted(plan.due)))
        # Taken back, it was not forced; answered meanwhile (another note on the Lease asks anew), this is no answer.
        if not is_asked():
            return
        self.elector.annotate(sweep_request.RESULT, sweep_request.render(result))

    async def _prune(self) -> Never:
        while True:
            await asyncio.sleep(PRUNE)
            if self._term is None:
                self.witness.prune()
