"""The transport over real sockets: what it sends, what it makes of answers, and that it leaves nothing open."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from fsm.errors import GoneError, PermanentError, StaleError, TransientError
from k8s.client import METADATA, HttpKube, connect
from k8s.errors import JSON_PATCH, ExpiredError

PODS = "/api/v1/namespaces/ns/pods"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def kubeconfig(folder: Path, url: str, *, token: str = "t0ken", ca: Path | None = None) -> str:
    path = folder / "kubeconfig"
    trust = {"certificate-authority": str(ca)} if ca else {}
    content = {
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url, **trust}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **content}))
    return str(path)


@asynccontextmanager
async def serving(handler: Handler, folder: Path) -> AsyncIterator[HttpKube]:
    """A client of a server that answers everything by `handler`."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    try:
        async with connect(kubeconfig(folder, f"http://127.0.0.1:{listener.getsockname()[1]}")) as kube:
            yield kube
    finally:
        await runner.cleanup()


def url(kube: HttpKube) -> str:
    return str(kube._api.configuration.host)


def answering(status: int = 200, body: Any = None, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response({} if body is None else body, status=status, headers=headers)

    return handler


async def test_a_request_says_who_asks_and_what_it_takes(tmp_path: Path) -> None:
    seen: list[tuple[web.Request, str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request, await request.text()))
        return web.json_response({"kind": "Pod"})

    async with serving(handler, tmp_path) as kube:
        query = (("labelSelector", "opencode.ai/session-hash in (a,b)"), ("limit", "5"))
        assert await kube.request("GET", PODS, query=query, accept=METADATA) == {"kind": "Pod"}
        await kube.request("PATCH", PODS + "/p/status", body=[{"op": "test"}], content_type=JSON_PATCH)
        await kube.request("DELETE", PODS + "/p", body={"preconditions": {"uid": "u"}})
    (get, _), (patch, operations), (delete, options) = seen
    assert get.headers["User-Agent"] == "opencode-cloudflare-operator"
    assert get.headers["Authorization"] == "Bearer t0ken"
    assert get.headers["Accept"] == METADATA
    assert dict(get.query) == dict(query)
    assert (patch.headers["Content-Type"], operations) == (JSON_PATCH, '[{"op": "test"}]')
    assert (delete.method, options) == ("DELETE", '{"preconditions": {"uid": "u"}}')


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (answering(410), ExpiredError),
        (answering(409), StaleError),
        (answering(404, {"kind": "Status", "details": {"name": "p", "kind": "pods"}}), GoneError),
        (answering(403), PermanentError),
        (answering(500, ["no", "object"]), TransientError),
        (answering(502, {"error": "Bad Gateway", "details": "upstream is down"}), TransientError),
        (answering(404, {"details": {"name": "p", "causes": "none"}}), GoneError),
        (answering(200, ["no", "object"]), TransientError),
    ],
)
async def test_an_answer_that_is_no_success_is_an_error_of_ours(tmp_path: Path, answer: Handler, kind: type) -> None:
    async with serving(answer, tmp_path) as kube:
        with pytest.raises(kind):
            await kube.request("GET", PODS + "/p")
        with pytest.raises(kind):
            async with kube.stream(PODS + "/p", idle=5) as events:
                await anext(events)


@pytest.mark.parametrize(
    "answer",
    [answering(429, **{"Retry-After": "7"}), answering(503, {"details": {"retryAfterSeconds": 7}})],
)
async def test_the_pause_that_the_server_asks_for_is_kept(tmp_path: Path, answer: Handler) -> None:
    async with serving(answer, tmp_path) as kube:
        with pytest.raises(TransientError) as caught:
            await kube.request("GET", PODS)
        assert caught.value.retry_after == 7


async def test_a_server_that_does_not_answer_in_time_or_at_all_is_transient(tmp_path: Path) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(handler, tmp_path) as kube:
        with pytest.raises(TransientError, match="did not answer in time"):
            await kube.request("GET", PODS, timeout=0.05)
        with pytest.raises(TransientError, match="did not answer in time"):
            async with kube.stream(PODS, idle=0.05):
                pass
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with connect(kubeconfig(tmp_path, f"http://127.0.0.1:{port}")) as kube:
        with pytest.raises(TransientError, match="cannot be reached"):
            await kube.request("GET", PODS)


def streaming(*chunks: bytes, then: Callable[[web.Request], Awaitable[None]] | None = None) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if then:
            await then(request)
        return response

    return handler


async def forever(_: web.Request) -> None:
    await asyncio.Event().wait()


async def test_a_stream_gives_each_line_until_the_server_ends_it(tmp_path: Path) -> None:
    handler = streaming(b'{"type": "A"}\n{"ty', b'pe": "B"}\n')
    async with serving(handler, tmp_path) as kube, kube.stream(PODS, idle=5) as events:
        assert [event["type"] async for event in events] == ["A", "B"]


async def test_silence_in_a_stream_is_noticed(tmp_path: Path) -> None:
    handler = streaming(b'{"type": "A"}\n', then=forever)
    async with serving(handler, tmp_path) as kube, kube.stream(PODS, idle=0.1) as events:
        assert await anext(events) == {"type": "A"}
        with pytest.raises(TransientError, match="did not answer in time"):
            await anext(events)


async def test_a_connection_that_is_cut_in_a_stream_is_transient(tmp_path: Path) -> None:
    async def cut(request: web.Request) -> None:
        assert request.transport
        request.transport.abort()

    async def read_all(kube: HttpKube) -> None:
        async with kube.stream(PODS, idle=5) as events:
            async for _ in events:
                pass

    async with serving(streaming(b'{"type": "A"}\n', then=cut), tmp_path) as kube:
        with pytest.raises(TransientError):
            await read_all(kube)


@pytest.mark.parametrize("line", [b"not json\n", b"[1]\n", b"\xff\xfe\n", b'{"a": "' + b"x" * (5 << 20) + b'"}\n'])
async def test_a_line_that_nobody_can_read_is_transient(tmp_path: Path, line: bytes) -> None:
    async with serving(streaming(line, then=forever), tmp_path) as kube:
        with pytest.raises(TransientError):
            async with kube.stream(PODS, idle=5) as events:
                await anext(events)


async def test_a_stream_that_is_left_early_is_closed(tmp_path: Path) -> None:
    left = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b'{"type": "A"}\n')
                await asyncio.sleep(0.01)
        finally:
            left.set()

    async with serving(handler, tmp_path) as kube:
        async with kube.stream(PODS, idle=60) as events:
            await anext(events)
        async with asyncio.timeout(10):
            await left.wait()


async def test_no_configuration_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(PermanentError, match="KubernetesUnconfigured"):
        async with connect(str(tmp_path / "missing")):
            pass


async def test_inside_a_pod_its_service_account_is_used_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers["Authorization"])
        return web.json_response({})

    async with serving(handler, tmp_path) as outside:
        # The library's loader insists on https; its token comes as the file has it, with the line break at the end.
        def load(settings: Configuration) -> None:
            settings.host = url(outside)
            settings.api_key["BearerToken"] = "bearer t0ken\n"

        monkeypatch.setattr("k8s.client._load_in_cluster", load)
        async with connect() as kube:
            await kube.request("GET", PODS)
    assert seen == ["bearer t0ken"]


@pytest.mark.parametrize("scheme", ["http://", ""])
@pytest.mark.parametrize(("excepted", "hosts"), [("", ["kubernetes.example"]), ("kubernetes.example", [])])
async def test_the_environment_s_proxy_is_used_unless_the_server_is_excepted(
    excepted: str, hosts: list[str], scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.host)
        return web.json_response({"kind": "PodList"})

    async with serving(handler, tmp_path) as proxy:
        monkeypatch.setenv("http_proxy", scheme + url(proxy).removeprefix("http://"))
        monkeypatch.setenv("no_proxy", excepted)
        async with connect(kubeconfig(tmp_path, "http://kubernetes.example")) as kube:
            with suppress(TransientError):  # excepted, it cannot be found
                await kube.request("GET", PODS)
    assert seen == hosts


async def test_a_netrc_file_of_the_user_puts_no_password_beside_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response({"authorization": request.headers["Authorization"]})

    async with serving(handler, tmp_path) as kube:
        assert await kube.request("GET", PODS) == {"authorization": "Bearer t0ken"}
