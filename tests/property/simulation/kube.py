"""`k8s.client.Kube` without a wire: the sandbox's pure API server behind the simulated network, watches included."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

from fsm.errors import TransientError
from fsm.session import HASH_LABEL
from k8s import errors
from k8s.client import JSON, Object, Query
from sandbox.kubernetes.api import Api
from sandbox.kubernetes.requests import Request, Response, Stream
from tests.property.simulation.eyes import LONG_AGO
from tests.property.simulation.loop import REPLICA, copied
from tests.property.simulation.monitor import Monitor
from tests.property.simulation.network import Fault, FaultyError, LostError, Network

BOOKMARKS = 60.0  # seconds between two
LOOK = 15.0  # seconds after which a watch that says nothing looks whether it still stands
REPLAYED = 6  # a replay is of the first of so many events, with the one that it follows


class WatchTroubles:
    """What happens to the watches of all replicas, until it is taken away or used up."""

    def __init__(self) -> None:
        self.generation = 0  # grows when every open watch is cut
        self.silent: set[int] = set()  # replicas whose watches say nothing (half-open)
        self.blind: set[int] = set()  # replicas that may not list or watch Pods any more
        self.misled: set[int] = set()  # replicas whose lists and watches by the selector are of nobody
        self.delay = 0.0  # seconds before an event is told
        self.are_events_lost = False  # whether the answer to an Event that is posted never comes
        self.are_routes_lost = False  # whether no write of a route arrives
        # What comes with the next events: "duplicate" is the same one once more, "replay" one of long before.
        self.disturb: deque[str] = deque()


class SimulatedKube:
    """One replica's way to the API server."""

    def __init__(
        self, api: Api, network: Network, monitor: Monitor, troubles: WatchTroubles, wall: Callable[[], float]
    ) -> None:
        self._api = api
        self._network = network
        self._monitor = monitor
        self._troubles = troubles
        self._wall = wall

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: Any = None,
        content_type: str | None = None,
        accept: str = JSON,
        timeout: float = 10.0,
    ) -> Object:
        headers = {"accept": accept, "content-type": content_type or JSON, "user-agent": "operator/1"}
        raw = b"" if body is None else json.dumps(body).encode()
        request = Request(method, path, self._asked(path, query), headers, raw)
        replica = REPLICA.get()
        asked = self._monitor.kube_asked(replica, request)
        try:
            if self._troubles.are_routes_lost and method != "GET" and "/ingressroutes/" in path:
                raise LostError(sent=True)
            async with asyncio.timeout(timeout):
                answer = await self._network.exchange(
                    "kube", lambda: self._effect(replica, request), partial(_cut_short, request)
                )
            if self._troubles.are_events_lost and method == "POST" and path.endswith("/events"):
                raise LostError(sent=True)
        except (LostError, TimeoutError):
            raise errors.of_failure(TimeoutError()) from None
        except FaultyError as error:
            raise _faulty(method, path, error.fault) from None
        told = _success(request, answer)
        self._monitor.kube_answered(replica, request, told, asked)
        return told

    def _asked(self, path: str, query: Query) -> dict[str, str]:
        """A selector that matches nothing, in place of the settings' own, for those that are told too little."""
        asked = dict(query)
        is_live_read = HASH_LABEL in asked.get("labelSelector", "")
        if REPLICA.get() in self._troubles.misled and path.endswith("/pods") and not is_live_read:
            asked["labelSelector"] = "app=nobody"
        return asked

    def _effect(self, replica: int, request: Request) -> Response | Stream:
        if replica in self._troubles.blind and request.method == "GET" and request.path.endswith("/pods"):
            return Response(403, {"message": "the operator cannot list resource pods"})
        with self._monitor.kube_effect(replica, request):
            return self._api.answer(request, self._wall())

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Query = (), accept: str = JSON, idle: float
    ) -> AsyncGenerator[AsyncIterator[Object], None]:
        request = Request("GET", path, self._asked(path, query), {"accept": accept})
        generation, replica, asked = self._troubles.generation, REPLICA.get(), asyncio.get_running_loop().time()
        try:
            answer = await self._network.exchange("kube", lambda: self._effect(replica, request))
        except (LostError, FaultyError):
            raise errors.of_failure(TimeoutError()) from None
        if isinstance(answer, Response):
            raise errors.of_answer(errors.Answer("GET", path, answer.status, body=_body(answer)))
        try:
            initial = asked if "sendInitialEvents" in request.query else None
            async with aclosing(self._events(path, answer, generation, idle, initial)) as events:
                yield events
        finally:
            self._api.leave(answer)

    async def _events(
        self, path: str, stream: Stream, generation: int, idle: float, initial: float | None
    ) -> AsyncGenerator[Object, None]:
        """`initial` is when a list was asked for that the first events are, up to a bookmark."""
        loop = asyncio.get_running_loop()
        wake = asyncio.Event()
        past: deque[Object] = deque(maxlen=REPLAYED)
        stream.watch.wake = wake.set
        end = loop.time() + (stream.timeout or 3600)
        heard = loop.time()
        while loop.time() < end:
            wake.clear()
            self._check(generation, heard, idle)
            if REPLICA.get() not in self._troubles.silent:
                for event in stream.watch.take():
                    for told in await self._told(event, past):
                        heard = loop.time()
                        initial = None if told["type"] == "BOOKMARK" else initial
                        self._monitor.kube_told(REPLICA.get(), path, told, LONG_AGO if initial is None else initial)
                        yield told
                if stream.watch.is_over:
                    return
            await self._wait(wake, stream)

    async def _wait(self, wake: asyncio.Event, stream: Stream) -> None:
        try:
            async with asyncio.timeout(LOOK):
                await wake.wait()
        except TimeoutError:
            loop = asyncio.get_running_loop()
            if loop.time() % BOOKMARKS < LOOK:
                stream.watch.bookmark(self._api.store.shelf.version)

    def _check(self, generation: int, heard: float, idle: float) -> None:
        now = asyncio.get_running_loop().time()
        if generation != self._troubles.generation or not self._network.is_reachable("kube") or now - heard > idle:
            raise TransientError("KubernetesUnavailable", "the watch broke")

    async def _told(self, event: Object, past: deque[Object]) -> list[Object]:
        if self._troubles.delay:
            await asyncio.sleep(self._troubles.delay)
        if event["type"] != "BOOKMARK":
            past.append(event)
        how = self._troubles.disturb.popleft() if self._troubles.disturb else ""
        again = {"duplicate": [event], "replay": list(past)[:1]}.get(how, [])
        return [copied(told) for told in (event, *again)]


def _cut_short(request: Request, answer: Response | Stream) -> Response | Stream:
    """The next page of a list whose beginning the API server knows no more."""
    return Response(410, {"reason": "Expired", "message": "too old"}) if request.query.get("continue") else answer


def _success(request: Request, answer: Response | Stream) -> Object:
    assert isinstance(answer, Response)
    if answer.status >= 300:
        kind = request.headers["content-type"]
        raise errors.of_answer(
            errors.Answer(request.method, request.path, answer.status, content_type=kind, body=_body(answer))
        )
    return _body(answer)


def _body(answer: Response) -> Object:
    body = copied(answer.body)
    return body if isinstance(body, dict) else {}


def _faulty(method: str, path: str, fault: Fault) -> Exception:
    status = 429 if fault is Fault.THROTTLED else 503
    retry_after = 5.0 if fault is Fault.THROTTLED else None
    return errors.of_answer(errors.Answer(method, path, status, retry_after=retry_after))
