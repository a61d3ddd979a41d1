"""From an HTTP request to `world.World` and back, with the faults on the way.

`server` listens for it. Everything that takes time or closes a connection is here; what is to happen is decided in
`faults` and `world`.
"""

import asyncio
import json
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from aiohttp import web

from sandbox.cloudflare.envelope import RefusedError, Reply, Request
from sandbox.cloudflare.faults import Cut, Intrude, Late, Refuse, Stale, Truncate
from sandbox.cloudflare.switchboard import Call, Switchboard
from sandbox.cloudflare.world import stamp
from sandbox.faults import Drop, Hold, Latency

BASE = "/client/v4"


class _DroppedError(Exception):
    """The connection is to be closed without a word, or after the first bytes of an answer."""

    def __init__(self, reply: Reply | None = None, size: int = 0) -> None:
        super().__init__()
        self.reply = reply
        self.size = size


class Shell:
    """The handler of every API request. The effect of a request does not depend on whether its client waits for it."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._under_way: set[asyncio.Task[Reply]] = set()

    async def handle(self, wire: web.Request) -> web.StreamResponse:
        """Answer, or close the connection."""
        task = self._begin(self._answer(await _read(wire)))
        try:
            reply = await asyncio.shield(task)
        except _DroppedError as dropped:
            return await _closed(wire, dropped)
        return web.json_response(reply.body, status=reply.status, headers=reply.headers)

    async def close(self) -> None:
        """Give up everything that still waits for its time."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, Reply]) -> asyncio.Task[Reply]:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[Reply]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be left who wants to know

    async def _answer(self, request: Request) -> Reply:
        """The answer, counted. Raises _DroppedError."""
        call = self._switchboard.count(request)
        try:
            reply = await self._disturbed(request, call)
        except _DroppedError:
            call.status = 0
            raise
        call.status = reply.status
        return reply

    async def _disturbed(self, request: Request, call: Call) -> Reply:
        board = self._switchboard
        await asyncio.sleep(board.latency)
        if board.is_down:
            return _outage(board.down_status)
        actions = board.faults.take(request.method, request.path, request.query)
        refused = await self._before(request, call, actions)
        if refused is not None:
            return refused
        return await self._after(call, actions, self._effect(request))

    def _effect(self, request: Request) -> Reply:
        return self._switchboard.world.handle(request, time.time())

    async def _before(self, request: Request, call: Call, actions: Sequence[object]) -> Reply | None:
        for action in actions:
            match action:
                case Latency(seconds):
                    await asyncio.sleep(seconds)
                case Hold("before"):
                    await self._switchboard.hold(call, "before")
                case Drop("before"):
                    raise _DroppedError
                case Late(seconds):
                    self._begin(self._late(request, seconds))
                    raise _DroppedError
                case Refuse(error, "before"):
                    return error.reply()
                case Intrude(edit):
                    tunnel = self._switchboard.world.tunnel
                    tunnel.configure(edit(tunnel.config), stamp(time.time()))
        return None

    async def _late(self, request: Request, seconds: float) -> Reply:
        await asyncio.sleep(seconds)
        return self._effect(request)

    async def _after(self, call: Call, actions: Sequence[object], reply: Reply) -> Reply:
        for action in actions:
            match action:
                case Hold("after"):
                    await self._switchboard.hold(call, "after")
                case Drop("after"):
                    raise _DroppedError
                case Refuse(error, "after"):
                    reply = error.reply()
                case Stale(seconds):
                    await asyncio.sleep(seconds)
                case Truncate(count) if isinstance(told := reply.body.get("result"), list):
                    reply = Reply(reply.status, {**reply.body, "result": told[:count]}, reply.headers)
                case Cut(size):
                    raise _DroppedError(reply, size)
        return reply


def _outage(status: int) -> Reply:
    if not status:
        raise _DroppedError
    return RefusedError(status, 10000, "the sandbox is down").reply()


async def _read(wire: web.Request) -> Request:
    headers = {name.lower(): value for name, value in wire.headers.items()}
    body: object = None
    if wire.can_read_body:
        try:
            body = await wire.json()
        except ValueError:
            body = await wire.text()
    return Request(wire.method, wire.path.removeprefix(BASE), dict(wire.query), headers, body)


async def _closed(wire: web.Request, dropped: _DroppedError) -> web.StreamResponse:
    response = web.StreamResponse()
    if dropped.reply is not None:
        body = json.dumps(dropped.reply.body).encode()
        response = web.StreamResponse(status=dropped.reply.status, headers=dropped.reply.headers)
        response.content_type = "application/json"
        response.content_length = len(body)
        await response.prepare(wire)
        await response.write(body[: dropped.size])
    if wire.transport is not None:
        if dropped.reply is None:
            wire.transport.abort()
        else:
            wire.transport.close()  # what was written still arrives
    return response
