"""Every request to Cloudflare goes through `Client.call`, which decides whether it may go out now, sends it, and turns
what is no success into an error. `dns` and `tunnel` are the callers, `transport` is next.

One client lives for one term of leadership (it begins with half the budget and with nothing remembered); `run` is a
task of that term. The way of one call: breaker -> budget and pause (429) -> lease and age of the evidence -> transport
-> errors. Reads are tried again within seconds (tenacity); everything longer belongs to the session's own backoff.
"""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Never

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential

from cloudflare_ops import errors
from cloudflare_ops.breaker import Breaker
from cloudflare_ops.budget import Budget
from cloudflare_ops.endpoints import Endpoint
from cloudflare_ops.transport import NoReplyError, Reply, Transport
from fsm.errors import NotLeadingError, SessionError, SharedError, TransientError

TIME_LIMIT = 10.0  # seconds per request: a lease of 15 s must outlive a write that has just begun
READ_ATTEMPTS = 3
# No jitter: one process calls at a time, there is no herd to spread.
READ_PAUSE = wait_exponential(multiplier=0.5, max=2.0)  # seconds

_log = logging.getLogger(__name__)

Accept = Callable[[Mapping[str, Any]], None]
Body = dict[str, Any]


@dataclass(frozen=True)
class _Request:
    method: str
    endpoint: Endpoint
    path: str
    params: Mapping[str, Any] | None
    body: Body | None
    before: float
    accept: Accept | None

    @property
    def is_write(self) -> bool:
        return self.method != "GET"

    @property
    def kind(self) -> str:
        return f"{self.method} {self.endpoint.name.lower()}"


class Client:
    """Plain dicts in, plain dicts out.

    `remaining` says for how many seconds this replica may still write; `on_recovered` wakes sessions that wait for a
    shared problem to end; `now` is monotonic seconds, counting suspended time. `budget` and `calls` outlive the client.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        zone: str,
        tunnel: str,
        now: Callable[[], float],
        remaining: Callable[[], float],
        on_recovered: Callable[[], None],
        budget: Budget,
        limit: float = TIME_LIMIT,
        calls: Counter[tuple[str, str]] | None = None,
    ) -> None:
        self._transport = transport
        self._ids = {"zone": zone, "tunnel": tunnel}
        self._now = now
        self._remaining = remaining
        self._on_recovered = on_recovered
        self._limit = limit
        self._zone: Body | None = None
        # The first list and the first read of the tunnel's document begin together, and both need it.
        self._zone_turn = asyncio.Lock()
        self._breakers: list[Breaker] = []
        self._account = self.breaker()
        self.budget = budget
        # (method and endpoint, status or "no reply") -> requests
        self.calls: Counter[tuple[str, str]] = Counter() if calls is None else calls
        self.last_success: float | None = None  # monotonic seconds
        self.trouble: SessionError | None = None  # the last failure that no success followed

    def breaker(self) -> Breaker:
        """One more breaker for `problems` and `run` to look after."""
        self._breakers.append(Breaker(self._now, self._on_recovered))
        return self._breakers[-1]

    @property
    def problems(self) -> tuple[SharedError, ...]:
        """What is in everybody's way now."""
        return tuple(breaker.problem for breaker in self._breakers if breaker.problem and breaker.is_felt)

    async def run(self) -> Never:
        """Probe whatever is broken; never returns."""
        async with asyncio.TaskGroup() as group:
            for breaker in self._breakers:
                group.create_task(breaker.run())
        raise AssertionError("a breaker's probe ended")

    async def zone(self) -> Body:
        """The zone (`name`, `account.id`), read once per term.

        Raises:
            SessionError: as `call`.
        """
        async with self._zone_turn:
            if self._zone is None:
                self._zone = (await self.call("GET", Endpoint.ZONE, accept=_accept_zone))["result"]
            return self._zone

    async def call(
        self,
        method: str,
        endpoint: Endpoint,
        *,
        params: Mapping[str, Any] | None = None,
        body: Body | None = None,
        before: float = math.inf,
        accept: Accept | None = None,
    ) -> Body:
        """The reply's envelope. The request does not begin after `before`; `accept` raises for a success that is none.

        Raises:
            TooLateError: it is later than `before`; nothing was sent.
            NotLeadingError: the lease is shorter than the time limit of a write; nothing was sent.
            OutcomeUnknownError: a write got no useful reply.
            SessionError: everything else in `errors`.
        """
        request = _Request(method, endpoint, await self._path(endpoint), params, body, before, accept)
        retrying = AsyncRetrying(
            stop=stop_after_attempt(1 if request.is_write else READ_ATTEMPTS),
            wait=READ_PAUSE,
            retry=retry_if_exception(_is_blip),
            sleep=asyncio.sleep,
            reraise=True,
        )
        return await retrying(self._once, request)

    async def _path(self, endpoint: Endpoint) -> str:
        account = "" if endpoint.is_dns else (await self.zone())["account"]["id"]
        return endpoint.value.format(**self._ids, account=account)

    async def _once(self, request: _Request) -> Body:
        async with self._account.turn():
            await self.budget.room()
            self._check_may_begin(request)
            try:
                envelope = _judge(request, await self._exchange(request))
            except SessionError as error:
                self._failed(request, error)
                raise
        self._account.passed(request.kind)
        self.trouble = None
        self.last_success = self._now()
        return envelope

    def _check_may_begin(self, request: _Request) -> None:
        if self._now() > request.before:
            raise errors.TooLateError
        if request.is_write and self._remaining() < self._limit:
            raise NotLeadingError

    async def _exchange(self, request: _Request) -> Reply:
        begun = self.budget.spend()
        exchange = self._timed(request, begun)
        try:
            reply = await (_to_its_end(exchange) if request.is_write else exchange)
        except NoReplyError as error:
            self._count(request.kind, "no reply")
            raise errors.lost(request.method, sent=error.sent, why=error.why) from None
        self._count(request.kind, str(reply.status))
        # The process may have been suspended while the reply lay in the socket: what it says is history by now.
        if not request.is_write and self._now() - begun > self._limit:
            raise errors.lost(request.method, sent=True)
        return reply

    def _count(self, kind: str, status: str) -> None:
        self.calls[kind, status] += 1
        _log.debug("asked Cloudflare", extra={"request": kind, "status": status})

    async def _timed(self, request: _Request, begun: float) -> Reply:
        self.budget.sent(begun)
        send = self._transport.request(request.method, request.path, request.params, request.body, self._limit)
        try:
            async with asyncio.timeout(self._limit):
                return await send
        except TimeoutError:
            raise NoReplyError(sent=True) from None

    def _failed(self, request: _Request, error: SessionError) -> None:
        if isinstance(error, errors.VERDICTS):
            # The account is fine, then. A revoked token had stopped a write that met a full zone afterwards: nothing
            # else would have closed the breaker as long as that was so, and it woke every session each five seconds.
            self._account.passed(request.kind)
        elif isinstance(error, SharedError):
            again = partial(self.call, request.method, request.endpoint, params=request.params, accept=request.accept)
            # A write cannot be tried out of curiosity: the next session that wants one is its probe.
            self._account.trip(request.kind, error, None if request.is_write else again)
        if isinstance(error, TransientError) and error.retry_after is not None:
            self.budget.block(error.retry_after)
        if isinstance(error, SharedError | TransientError):
            self.trouble = error


def _judge(request: _Request, reply: Reply) -> Body:
    body = reply.body
    # A reply to DELETE has no `success`, so only an explicit denial counts.
    if not 200 <= reply.status < 300 or not isinstance(body, dict) or body.get("success") is False:
        raise errors.translate(request.method, request.endpoint, reply.status, reply.headers, body)
    if request.accept is not None:
        request.accept(body)
    return body


async def _to_its_end(request: Coroutine[Any, Any, Reply]) -> Reply:
    """A write is not torn off: cancelled, the caller still waits (at most the time limit) until it has ended.

    What the reply says is dealt with (only it tells that somebody's edit was overwritten); the next wait is cancelled.
    """
    task = asyncio.ensure_future(request)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        caller = asyncio.current_task()
        if caller is not None:
            caller.uncancel()  # so that the one cancellation is not counted twice
            caller.cancel()
        return task.result()


def _is_blip(error: BaseException) -> bool:
    """Whether a read is worth another try within seconds; after a 429 nothing is sent for minutes."""
    return isinstance(error, TransientError) and error.retry_after is None


def _accept_zone(reply: Mapping[str, Any]) -> None:
    match reply:
        case {"result": {"name": str(), "account": {"id": str()}}}:
            return
    raise errors.shared("TokenForbidden", "the zone's name or account is not shown to it")
