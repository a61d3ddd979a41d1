"""One replica's way to one server: passes everything on, writes down what was asked, and can get in the way.

`ground.py` puts two before each operator, one towards the API server and one towards Cloudflare. A request that was
sent arrives, whether or not its sender still waits for the answer, as on a real network; only a `Hold` can drop it.
Watches are streamed, everything else is passed on whole.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from tests.cluster.cutpoints.kinds import Kind, is_watch, kind_of

# About one connection, so they are not passed on; the library finds the others by itself.
_HOP_BY_HOP = {"host", "connection", "keep-alive", "transfer-encoding", "content-length"}
_ENDLESS = aiohttp.ClientTimeout(total=None)


@dataclass
class Call:
    """A request that came; `status` is None until the server has answered."""

    kind: Kind
    body: bytes
    status: int | None = None


@dataclass
class Hold:
    """The `nth` request of a kind from now on is to wait, before its effect or before its answer."""

    kind: Kind
    nth: int
    when: str
    call: Call | None = None
    _goes_on: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def is_reached(self) -> bool:
        """Whether it waits, or has waited."""
        return self.call is not None

    @property
    def is_answered(self) -> bool:
        """Whether it had its effect, and the server said so."""
        return self.call is not None and self.call.status is not None

    def release(self) -> None:
        """Let it go on."""
        self._goes_on.set_result(True)

    def drop(self) -> None:
        """Let it never arrive."""
        self._goes_on.set_result(False)

    def is_for(self, call: Call) -> bool:
        """Whether this call is the one; to be asked once about each call."""
        self.nth -= call.kind == self.kind
        return call.kind == self.kind and self.nth == 0

    async def wait(self, call: Call) -> None:
        """Raises ConnectionAbortedError when the request is to be dropped."""
        self.call = call
        if not await self._goes_on:
            raise ConnectionAbortedError


class Relay:
    """`calls` grows with each request; several relays may write into one list."""

    def __init__(self, name: str, upstream: str, trust: ssl.SSLContext | None, calls: list[Call]) -> None:
        self.name = name
        self.url = ""
        self._upstream = upstream
        self._trust = trust
        self._calls = calls
        self._hold: Hold | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._under_way: set[asyncio.Task[web.Response]] = set()

    def hold(self, kind: Kind, nth: int, when: str) -> Hold:
        """Stop this request, once, when it comes."""
        self._hold = Hold(kind, nth, when)
        return self._hold

    def stall(self) -> None:
        """A partition: connections stay open, new ones are accepted, nothing passes either way."""
        self._open.clear()

    def heal(self) -> None:
        """Whatever was sent in the meantime arrives now."""
        self._open.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve until the context ends."""
        connector = aiohttp.TCPConnector(ssl=self._trust or True, limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False, timeout=_ENDLESS) as self._http:
            # A watch ends with its reader; what else was sent goes on, see `_begin`.
            runner = web.ServerRunner(web.Server(self._handle, handler_cancellation=True), shutdown_timeout=0.1)
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
                yield
            finally:
                await self._give_up()
                await runner.cleanup()

    async def _give_up(self) -> None:
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _handle(self, wire: web.BaseRequest) -> web.StreamResponse:
        body = await wire.read()
        try:
            if is_watch(wire.query):
                return await self._stream(wire)
            call = Call(kind_of(self.name, wire.method, wire.path, body), body)
            self._calls.append(call)
            return await asyncio.shield(self._begin(self._exchange(wire, call)))
        except (aiohttp.ClientError, OSError):
            if wire.transport is not None:
                wire.transport.abort()
            return web.Response(status=502)

    def _begin(self, work: Coroutine[Any, Any, web.Response]) -> asyncio.Task[web.Response]:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[web.Response]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be left who wants to know

    async def _exchange(self, wire: web.BaseRequest, call: Call) -> web.Response:
        hold = self._hold if self._hold and self._hold.is_for(call) else None
        if hold and hold.when == "before":
            await hold.wait(call)
        await self._open.wait()
        async with self._asked(wire, call.body) as reply:
            content = await reply.read()
        call.status = reply.status
        if hold and hold.when == "after":
            await hold.wait(call)
        await self._open.wait()
        return web.Response(status=reply.status, headers=_passed_on(reply.headers), body=content)

    async def _stream(self, wire: web.BaseRequest) -> web.StreamResponse:
        await self._open.wait()
        async with self._asked(wire, b"") as reply:
            response = web.StreamResponse(status=reply.status, headers=_passed_on(reply.headers))
            await response.prepare(wire)
            async for chunk in reply.content.iter_any():
                await self._open.wait()
                await response.write(chunk)
            return response

    def _asked(self, wire: web.BaseRequest, body: bytes) -> Any:
        url = URL(self._upstream + wire.raw_path, encoded=True)
        return self._http.request(wire.method, url, headers=_passed_on(wire.headers), data=body or None)


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in headers.items() if name.lower() not in _HOP_BY_HOP}
