"""What every request obeys: budget, pauses, lease, time limit, breaker; and what nobody gets to see."""

import asyncio
import contextlib
import itertools
import logging
import socket
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from cloudflare_ops.breaker import FIRST_PAUSE
from cloudflare_ops.budget import WINDOW
from cloudflare_ops.client import TIME_LIMIT, Client
from cloudflare_ops.endpoints import Endpoint
from cloudflare_ops.errors import OutcomeUnknownError, TooLateError
from cloudflare_ops.transport import NoReplyError, SdkTransport
from fsm.errors import NotLeadingError, SessionError, SharedError, TransientError
from tests.cloudflare_ops.api import FakeApi, failing, hangs, instead, unreachable
from tests.cloudflare_ops.operator import make, outcomes, running
from tests.k8s.virtual import now, virtual

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
TOKEN = "secret-token-0123456789"
POST: dict[str, object] = {"posts": []}


async def list_records(client: Client) -> object:
    return await client.call("GET", Endpoint.RECORDS, params={"page": 1, "per_page": 10})


@virtual
async def test_a_read_survives_blips_of_seconds_and_a_write_is_never_repeated() -> None:
    api = FakeApi()
    client = make(api).client
    api.script("GET dns_records", instead(failing(502)), unreachable)
    api.script("POST batch", instead(failing(502)))
    await list_records(client)
    assert client.trouble is None
    with pytest.raises(OutcomeUnknownError):
        await client.call("POST", Endpoint.BATCH, body=POST)
    assert client.trouble is not None
    assert client.calls == {
        ("GET records", "502"): 1,
        ("GET records", "no reply"): 1,
        ("GET records", "200"): 1,
        ("POST batch", "502"): 1,
    }


@virtual
async def test_a_hanging_call_ends_at_its_time_limit() -> None:
    api = FakeApi()
    client = make(api).client
    api.script("POST batch", hangs)
    began = now()
    with pytest.raises(OutcomeUnknownError):
        await client.call("POST", Endpoint.BATCH, body=POST)
    assert now() - began == TIME_LIMIT


@virtual
async def test_after_a_429_everything_waits_for_as_long_as_it_says() -> None:
    api = FakeApi()
    client = make(api).client
    api.script("GET dns_records", instead(failing(429, 971, **{"retry-after": "120"})))
    began = now()
    with pytest.raises(TransientError, match="RateLimited") as caught:
        await list_records(client)
    assert caught.value.retry_after == 120
    assert len(api.calls) == 1
    await asyncio.gather(client.zone(), list_records(client))
    assert min(api.times[1:]) == pytest.approx(began + 120, abs=1)


@virtual
async def test_the_budget_is_a_sliding_window_and_begins_with_half() -> None:
    api = FakeApi()
    client = make(api, budget=20).client
    began = now()
    for _ in range(60):
        await list_records(client)
    times = [moment - began for moment in api.times]
    assert (times[9] < 2, times[10] > 299) == (True, True), "a new leader begins with half"
    for moment in times:
        assert sum(moment <= other < moment + 300 for other in times) <= 20


@virtual
@pytest.mark.parametrize("seconds", [6.0, WINDOW + 6.0])
async def test_a_write_counts_from_its_send_also_when_the_process_was_suspended_just_before(seconds: float) -> None:
    operator = make(FakeApi(), budget=20)
    budget = operator.client.budget
    operator.suspend(WINDOW)
    left = budget.left
    write = asyncio.create_task(operator.client.call("POST", Endpoint.BATCH, body=POST))
    while budget.left == left:
        await asyncio.sleep(0)
    operator.suspend(seconds)
    await write
    operator.suspend(WINDOW - 1)
    assert budget.left == left - 1
    operator.suspend(1)
    assert budget.left == left


@virtual
async def test_wishes_gather_longer_when_the_budget_gets_short() -> None:
    api = FakeApi()
    async with running(api, budget=20) as operator:
        await operator.dns.look(now())
        began = now()
        await operator.ensure(1)
        assert now() - began < 1, "also a new leader, which begins with half, lets nobody wait at first"
        while operator.client.budget.left > 3:
            operator.client.budget.spend()
        await operator.ensure(2)
        assert now() - began > 5


@virtual
async def test_a_write_is_not_begun_on_a_short_lease_nor_on_old_evidence() -> None:
    api = FakeApi()
    operator = make(api)
    operator.lease = TIME_LIMIT - 0.1
    with pytest.raises(NotLeadingError):
        await operator.client.call("POST", Endpoint.BATCH, body=POST)
    await list_records(operator.client)
    operator.lease = TIME_LIMIT
    with pytest.raises(TooLateError):
        await operator.client.call("POST", Endpoint.BATCH, body=POST, before=now() - 1)
    assert api.kinds() == ["GET dns_records"]


@virtual
async def test_a_cancelled_write_ends_before_its_caller_does() -> None:
    api = FakeApi()
    client = make(api).client
    api.add("a.example.org")
    key = next(iter(api.records))
    task = asyncio.create_task(client.call("POST", Endpoint.BATCH, body={"deletes": [{"id": key}]}))
    await asyncio.sleep(api.latency / 4)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert api.records == {}


@virtual
async def test_shared_trouble_is_one_probe_with_a_growing_pause_and_wakes_those_who_wait() -> None:
    api = FakeApi()
    api.script("GET dns_records", *[instead(failing(403, 10000, "Authentication error"))] * 4)
    async with running(api) as operator:
        errors = await outcomes(*(operator.dns.look(now()) for _ in range(50)))
        assert {str(error) for error in errors} == {str(operator.client.problems[0])}
        assert isinstance(errors[0], SharedError)
        assert "Give CF_API_TOKEN" in str(errors[0])
        assert len(api.calls) == 2
        with pytest.raises(SharedError):
            await operator.tunnel.look(now())
        assert len(api.calls) == 2
        await asyncio.sleep(FIRST_PAUSE * 20)
        lists = [moment for moment, kind in zip(api.times, api.kinds(), strict=True) if kind == "GET dns_records"]
        gaps = [round(later - earlier) for earlier, later in itertools.pairwise(lists)]
        assert gaps == [5, 10, 20, 40]
        assert operator.recovered == 1
        assert operator.client.problems == ()


@virtual
async def test_trouble_that_only_a_write_can_tell_wakes_sessions_one_pause_at_a_time() -> None:
    api = FakeApi()
    api.script("POST batch", *[instead(failing(403))] * 2)
    async with running(api) as operator:
        with pytest.raises(SharedError):
            await operator.ensure(1)
        await asyncio.sleep(FIRST_PAUSE + 0.5)
        assert operator.recovered == 1
        with pytest.raises(SharedError):
            await operator.ensure(1)
        await asyncio.sleep(2 * FIRST_PAUSE + 0.5)
        assert operator.recovered == 2
        await operator.dns.look(now())
        assert operator.client.problems, "that reads succeed says nothing about writes"
        await operator.ensure(1)
        assert operator.client.problems == ()


@pytest.mark.parametrize(
    ("status", "code", "is_over"),
    [(400, 81045, True), (400, 81053, True), (400, 81044, True), (400, 1004, True), (502, 0, False), (429, 0, False)],
)
@virtual
async def test_a_verdict_on_what_the_account_had_stopped_ends_its_trouble(
    status: int, code: int, is_over: bool
) -> None:
    api = FakeApi()
    api.script("POST batch", instead(failing(403)), instead(failing(status, code)))
    async with running(api) as operator:
        with pytest.raises(SharedError):
            await operator.client.call("POST", Endpoint.BATCH, body=POST)
        await asyncio.sleep(FIRST_PAUSE + 0.5)
        with pytest.raises(SessionError):
            await operator.client.call("POST", Endpoint.BATCH, body=POST)
        assert (operator.client.problems == ()) == is_over


@virtual
async def test_calls_that_fail_together_are_one_failure() -> None:
    api = FakeApi()
    async with running(api) as operator:
        await operator.client.zone()
        for kind in ("GET dns_records", "GET configurations"):
            api.script(kind, instead(failing(403)))
        await outcomes(operator.dns.look(now()), operator.tunnel.look(now()))
        assert len(api.calls) == 3
        await asyncio.sleep(FIRST_PAUSE + 0.5)
        assert operator.recovered == 1


@virtual
async def test_a_lost_connection_while_a_probe_is_due_does_not_spin() -> None:
    api = FakeApi()
    api.script("GET dns_records", instead(failing(401)), *[unreachable] * 1000)
    async with running(api) as operator:
        with pytest.raises(SharedError, match="TokenInvalid"):
            await operator.dns.look(now())
        await asyncio.sleep(300)
        assert len(api.calls) < 300


@virtual
async def test_a_zone_without_an_account_is_told() -> None:
    api = FakeApi()
    client = make(api).client
    api.script("GET zone", instead(failing(200)._replace(body={"success": True, "result": {"name": "example.org"}})))
    with pytest.raises(SharedError, match="TokenForbidden"):
        await client.zone()


async def serve(handler: Handler) -> tuple[web.AppRunner, str]:
    app = web.Application()
    app.router.add_route("*", "/client/v4/{rest:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/client/v4"


async def test_the_sdk_carries_requests_replies_and_headers_and_shows_the_token_to_nobody(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDFLARE_EMAIL", "somebody@example.org")
    monkeypatch.setenv("CLOUDFLARE_API_KEY", "another-secret")
    caplog.set_level(logging.DEBUG)
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        if request.method == "PUT":
            return web.Response(text="<html>ray 123</html>", status=502)
        if request.method == "POST":
            body = {"success": False, "errors": [{"code": 1, "message": f"bad {TOKEN}"}]}
            return web.json_response(body, status=400, headers={"Retry-After": "7"})
        return web.json_response({"success": True, "result": {"unknown": [None]}})

    runner, base = await serve(answer)
    transport = SdkTransport(TOKEN, base_url=base)
    try:
        reply = await transport.request("GET", "/zones/z", {"per_page": 5}, None, 5)
        assert (reply.status, reply.body) == (200, {"success": True, "result": {"unknown": [None]}})
        assert seen[0].query_string == "per_page=5"
        assert seen[0].headers["Authorization"] == f"Bearer {TOKEN}"
        assert not {"X-Auth-Email", "X-Auth-Key"} & set(seen[0].headers)
        refused = await transport.request("POST", "/zones/z/x", None, {"a": None}, 5)
        assert (refused.status, refused.headers["retry-after"]) == (400, "7")
        assert TOKEN not in str(refused.body)
        broken = await transport.request("PUT", "/zones/z", None, {}, 5)
        assert (broken.status, broken.body) == (502, None)
    finally:
        await transport.close()
        await runner.cleanup()
    assert TOKEN not in caplog.text


async def test_a_connection_that_was_never_made_is_told_from_one_that_broke() -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    runner, base = await serve(hang_up)
    transport = SdkTransport(TOKEN, base_url=base)
    try:
        with pytest.raises(NoReplyError) as broke:
            await transport.request("POST", "/zones/z/x", None, {}, 5)
        assert (broke.value.sent, broke.value.why) == (True, "")
        await runner.cleanup()
        with pytest.raises(NoReplyError) as never:
            await transport.request("POST", "/zones/z/x", None, {}, 5)
        assert (never.value.sent, never.value.why) == (False, "no connection")
    finally:
        await transport.close()
        await runner.cleanup()


async def test_a_reply_too_deep_to_read_is_no_reply_that_says_anything() -> None:
    async def endless(_: web.Request) -> web.Response:
        return web.Response(text="[" * 100_000)

    runner, base = await serve(endless)
    transport = SdkTransport(TOKEN, base_url=base)
    try:
        assert (await transport.request("GET", "/zones/z", None, None, 5)).body is None
    finally:
        await transport.close()
        await runner.cleanup()


async def test_a_server_without_tls_is_told() -> None:
    async def never(_: web.Request) -> web.Response:
        raise AssertionError("nothing arrives")

    runner, base = await serve(never)
    assert await _why_not(base.replace("http:", "https:")) == "no trusted TLS connection"
    await runner.cleanup()


async def test_a_name_that_nobody_knows_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert await _why_not("http://api.invalid") == "a name on the way cannot be resolved"


async def test_packets_that_are_dropped_are_told() -> None:
    """As a network policy does: here by a server whose queue is full."""
    with contextlib.ExitStack() as open_sockets:
        server = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            client = open_sockets.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        assert await _why_not(f"http://127.0.0.1:{server.getsockname()[1]}", limit=1.0) == "nobody answers there"


async def _why_not(base: str, *, limit: float = TIME_LIMIT) -> str:
    """Why a write does not leave, as the client's error tells it."""
    transport = SdkTransport(TOKEN, base_url=base)
    try:
        with pytest.raises(TransientError) as met:
            await make(transport, limit=limit).client.call("POST", Endpoint.BATCH, body=POST)
    finally:
        await transport.close()
    assert type(met.value) is TransientError, "it was never sent"
    return met.value.text.removeprefix("no reply from the Cloudflare API: ")
