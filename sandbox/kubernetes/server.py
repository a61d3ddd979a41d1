"""The one place with I/O: HTTP on loopback around `api.Api`, with the faults of `faults.Faults` on the way.

`sandbox.__main__` starts it with `add_arguments` and `serve`, tests with `running`. Its own knobs are in `control`.
"""

import argparse
import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from random import Random

from aiohttp import web

from sandbox.faults import Drop, Hold, Latency
from sandbox.kubernetes.api import Settings, new_api
from sandbox.kubernetes.control import PREFIX, control_application
from sandbox.kubernetes.faults import Disturb, Refuse
from sandbox.kubernetes.objects import Json
from sandbox.kubernetes.requests import Request, Response, Stream
from sandbox.kubernetes.switchboard import Switchboard

_HISTORY = 10_000  # changes; a real server keeps five minutes
_BODY_LIMIT = 3 * 1024 * 1024  # bytes, as etcd's


class _DroppedError(Exception):
    """The connection is to be closed without a word."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `python -m sandbox kubernetes` takes."""
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1 (default: a free one)")
    parser.add_argument("--token", default="", help="the bearer token to ask for (default: none is asked for)")
    parser.add_argument("--no-watchlist", action="store_true", help="be an older server, without streamed lists")
    parser.add_argument("--history", type=int, default=_HISTORY, help="changes that a watch can begin at (%(default)s)")
    parser.add_argument("--namespace", action="append", default=[], help="a namespace to begin with (may be repeated)")
    parser.add_argument("--seed", type=int, help="of uids and generated names (default: another one each time)")


async def serve(args: argparse.Namespace) -> None:
    """Serve until cancelled."""
    settings = Settings(watchlist=not args.no_watchlist, token=args.token)
    places = {"port": args.port, "namespaces": args.namespace, "seed": args.seed, "history": args.history}
    async with running(settings=settings, **places) as url:
        print(f"listening on {url}", flush=True)
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def running(
    *,
    settings: Settings | None = None,
    namespaces: tuple[str, ...] | list[str] = (),
    port: int = 0,
    history: int = _HISTORY,
    seed: int | None = None,
) -> AsyncIterator[str]:
    """A server on 127.0.0.1; yields its URL, and ends every stream when the block ends."""
    api = new_api(
        random=Random(seed),
        now=time.time(),
        history=history,
        settings=settings or Settings(),
        namespaces=namespaces,
    )
    switchboard = Switchboard(api)
    runner = web.AppRunner(_application(switchboard), handler_cancellation=True, shutdown_timeout=1, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        switchboard.set_down(is_down=True)
        await runner.cleanup()


def _application(switchboard: Switchboard) -> web.Application:
    application = web.Application(client_max_size=_BODY_LIMIT)
    application.add_subapp(PREFIX, control_application(switchboard))
    application.router.add_route("*", "/{path:.*}", _handler(switchboard))
    return application


def _handler(switchboard: Switchboard) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    running_answers: set[asyncio.Task[Response | Stream]] = set()

    async def handle(wire: web.Request) -> web.StreamResponse:
        request = await _read(wire)
        # The effect of a request does not depend on whether its client waits for the answer.
        task = asyncio.create_task(_answer(switchboard, request))
        running_answers.add(task)
        task.add_done_callback(running_answers.discard)
        try:
            answer = await asyncio.shield(task)
            return await _send(switchboard, wire, request, answer)
        except (_DroppedError, ConnectionError):
            if wire.transport is not None:
                wire.transport.abort()
            return web.Response()

    return handle


async def _read(wire: web.Request) -> Request:
    headers = {name.lower(): value for name, value in wire.headers.items()}
    return Request(wire.method, wire.path, dict(wire.query), headers, await wire.read())


async def _answer(switchboard: Switchboard, request: Request) -> Response | Stream:
    """The answer with everything that goes wrong on the way. Raises _DroppedError."""
    if switchboard.is_down:
        raise _DroppedError
    actions = switchboard.faults.meet(request)
    for action in actions:
        if isinstance(action, Latency):
            await asyncio.sleep(action.seconds)
    refused = await _disturbed(switchboard, request, actions, "before")
    answer = refused or switchboard.api.answer(request, time.time())
    answer = await _disturbed(switchboard, request, actions, "after") or answer
    switchboard.count(request, answer.status if isinstance(answer, Response) else 200)
    return answer


async def _disturbed(switchboard: Switchboard, request: Request, actions: list[object], when: str) -> Response | None:
    """What the faults of this moment answer, if anything. Raises _DroppedError."""
    for action in actions:
        if isinstance(action, Hold) and action.when == when:
            await switchboard.hold(request, when)
            if switchboard.is_down:
                raise _DroppedError
        if isinstance(action, Drop) and action.when == when:
            switchboard.count(request, 0)
            raise _DroppedError
        if isinstance(action, Refuse) and action.when == when:
            return Response(action.error.code, action.error.body)
    return None


async def _send(
    switchboard: Switchboard, wire: web.Request, request: Request, answer: Response | Stream
) -> web.StreamResponse:
    if isinstance(answer, Stream):
        return await _send_stream(switchboard, wire, request, answer)
    is_text = isinstance(answer.body, str)
    response = web.Response(
        status=answer.status,
        text=answer.body if isinstance(answer.body, str) else _text(answer.body),
        content_type="text/plain" if is_text else "application/json",
    )
    for warning in answer.warnings:
        response.headers.add("Warning", f"299 - {json.dumps(warning)}")
    return response


def _text(body: Json) -> str:
    return json.dumps(body, separators=(",", ":"))


async def _send_stream(
    switchboard: Switchboard, wire: web.Request, request: Request, stream: Stream
) -> web.StreamResponse:
    """Tell the events as they come, until the time is over, the watch has ended, or a fault ends it."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    try:
        await response.prepare(wire)
        async with contextlib.aclosing(_events(switchboard, request, stream)) as events:
            async for event in events:
                await response.write(_text(event).encode() + b"\n")
    finally:
        switchboard.api.leave(stream)
    return response


async def _events(switchboard: Switchboard, request: Request, stream: Stream) -> AsyncGenerator[Json, None]:
    """The events of one stream, disturbed as the faults say. Raises _DroppedError when it is cut."""
    loop = asyncio.get_running_loop()
    end = loop.time() + stream.timeout if stream.timeout else None
    with switchboard.waking(stream) as wake:
        while True:
            wake.clear()
            await _interrupted(switchboard, request)
            for event in stream.watch.take():
                for told in await _told(switchboard, request, event):
                    yield told
            if stream.watch.is_over or (end and loop.time() >= end):
                return
            if not await _woken(wake, end, switchboard.bookmark_interval):
                stream.watch.bookmark(switchboard.api.store.shelf.version)


async def _woken(wake: asyncio.Event, end: float | None, interval: float) -> bool:
    """Whether something happened; False when it is time for a bookmark (or the end)."""
    left = interval if end is None else min(interval, end - asyncio.get_running_loop().time())
    try:
        await asyncio.wait_for(wake.wait(), max(left, 0))
    except TimeoutError:
        return False
    return True


async def _interrupted(switchboard: Switchboard, request: Request) -> None:
    """Cut the stream, or let it be silent for ever, if that is to be."""
    disturbance = switchboard.faults.disturb(request, "cut", "silent")
    if switchboard.is_down or disturbance == Disturb("cut"):
        raise _DroppedError
    if disturbance:
        await switchboard.silence()
        raise _DroppedError


async def _told(switchboard: Switchboard, request: Request, event: Json) -> list[Json]:
    """What is told of one event: usually itself, once."""
    disturbance = switchboard.faults.disturb(request, "swallow", "duplicate", "delay")
    if disturbance is None:
        return [event]
    await asyncio.sleep(disturbance.seconds)
    return {"swallow": [], "duplicate": [event, event], "delay": [event]}[disturbance.how]
