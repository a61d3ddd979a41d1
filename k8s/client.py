"""The seam to the API server: one request, one stream. Everything else in `k8s` speaks through these two methods.

`connect` is called by the controller's composition root; a simulation puts an in-process class in its place. The
official client is used as transport alone (credentials, TLS, token refresh): its typed half costs 25 MiB and more
of the 128, its Watch hot-loops and hangs.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from fsm.errors import PermanentError, SessionError, TransientError
from fsm.session import MANAGER
from k8s import errors

JSON = "application/json"
# Metadata alone, of one object (a watch's, a patch's) or a list; a server that cannot do it sends everything.
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"

Query = Sequence[tuple[str, str]]
Object = dict[str, Any]

# The library's configuration half has no types.
_load: Callable[..., Awaitable[object]] = config.load_kube_config
_load_in_cluster: Callable[[Configuration], None] = config.load_incluster_config

_CONNECT = 5.0  # seconds until a connection has to stand


class Kube(Protocol):
    """An API server. Both methods raise `fsm.errors` (by `k8s.errors`) and let cancellation pass."""

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
        """The JSON object that the server answers, within `timeout` seconds."""
        ...

    def stream(
        self, path: str, *, query: Query = (), accept: str = JSON, idle: float
    ) -> AbstractAsyncContextManager[AsyncIterator[Object]]:
        """A watch: entering checks the status; the iterator gives events until the server ends the stream.

        Raises:
            TransientError: also when nothing came for `idle` seconds, or when a line is no JSON object.
        """
        ...


@dataclass(frozen=True)
class _Call:
    method: str
    path: str
    query: Query
    headers: Mapping[str, str]
    limit: aiohttp.ClientTimeout
    body: Any = None


class HttpKube:
    """`Kube` over HTTP."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

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
        limit = aiohttp.ClientTimeout(total=timeout, sock_connect=min(_CONNECT, timeout))
        headers = {"Accept": accept, "Content-Type": content_type or JSON}
        async with self._open(_Call(method, path, query, headers, limit, body)) as response:
            with _translated():
                return _object(await response.read())

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Query = (), accept: str = JSON, idle: float
    ) -> AsyncGenerator[AsyncIterator[Object], None]:
        # The client's default of 300 s in total must not apply: only silence ends a watch.
        limit = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=idle)
        call = _Call("GET", path, query, {"Accept": accept}, limit)
        async with self._open(call) as response, aclosing(_events(response)) as events:
            yield events

    @asynccontextmanager
    async def _open(self, call: _Call) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        """A successful response, whose connection is closed or given back in every case."""
        with _translated():
            response = await self._send(call)
        try:
            if response.status >= 300:
                with _translated():
                    content = await response.read()
                raise errors.of_answer(_answer(call, response, content))
            yield response
        finally:
            # One that was read to its end has given its connection back. Any other is cut off: nobody says goodbye to a
            # server that may be dead.
            if response.connection is not None and response.connection.transport is not None:
                response.connection.transport.abort()
            response.close()

    async def _send(self, call: _Call) -> aiohttp.ClientResponse:
        verb, url, headers, _, form = await self._api.param_serialize(
            call.method,
            call.path,
            query_params=list(call.query),
            header_params=dict(call.headers),
            auth_settings=["BearerToken"],
        )
        # The library takes the token file as it is; a line break at its end would be refused as a header.
        clean = {name: str(value).strip() for name, value in headers.items()}
        # Our bodies are plain JSON: the library's search for its own models in them is left out.
        reply = await self._api.call_api(verb, url, clean, call.body, form, _request_timeout=call.limit)
        response: aiohttp.ClientResponse = reply.response
        return response


@asynccontextmanager
async def connect(kubeconfig: str | None = None) -> AsyncGenerator[HttpKube, None]:
    """The API server of `kubeconfig` (a path), else of the Pod we run in, else of KUBECONFIG or ~/.kube/config.

    Raises:
        PermanentError: there is no configuration, or it cannot be read.
    """
    settings = await _configuration(kubeconfig)
    # The library asks the environment for a proxy and ~/.netrc for a password anew for each request, in a thread: a
    # tenth of the CPU of a session. A proxy is asked for once; a password beside the token would only be refused.
    settings.proxy = settings.proxy or _proxy_for(settings.host)
    settings.client_session_kwargs = {"trust_env": False}
    async with ApiClient(settings) as api:
        api.user_agent = MANAGER
        yield HttpKube(api)
    # What was cut off is gone in the loop's next round.
    await asyncio.sleep(0)


async def _configuration(kubeconfig: str | None) -> Configuration:
    settings = Configuration()
    try:
        if kubeconfig is None and _is_in_cluster(settings):
            return settings
        await _load(kubeconfig, client_configuration=settings, persist_config=False)
    # The loader raises whatever its parser, its file or an exec plugin raises.
    except Exception as error:
        remedy = "run inside a Pod with a ServiceAccount, or set KUBECONFIG to a readable file"
        raise PermanentError("KubernetesUnconfigured", "no way to the API server is configured", remedy) from error
    return settings


def _proxy_for(url: str) -> str | None:
    """The proxy that HTTPS_PROXY and the like name for `url`, unless NO_PROXY excepts its host."""
    server = urlsplit(url)
    proxy = None if proxy_bypass(server.hostname or "") else getproxies().get(server.scheme)
    # Everybody else takes one without a scheme.
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _is_in_cluster(settings: Configuration) -> bool:
    try:
        _load_in_cluster(settings)
    except config.ConfigException:
        return False
    return True


async def _events(response: aiohttp.ClientResponse) -> AsyncGenerator[Object, None]:
    while True:
        with _translated():
            line = await response.content.readline()
            if not line:
                return
            event = _object(line)
        yield event


def _answer(call: _Call, response: aiohttp.ClientResponse, content: bytes) -> errors.Answer:
    body = errors.json_object(content) or {}
    seconds = response.headers.get("Retry-After") or str(errors.details_of(body).get("retryAfterSeconds") or "")
    return errors.Answer(
        method=call.method,
        path=call.path,
        status=response.status,
        content_type=call.headers.get("Content-Type"),
        retry_after=float(seconds) if seconds.isdecimal() else None,
        body=body,
    )


def _object(content: bytes) -> Object:
    value = errors.json_object(content)
    if value is None:
        raise TransientError("KubernetesUnavailable", "the API server's answer is no JSON object")
    return value


@contextmanager
def _translated() -> Iterator[None]:
    """Around the library alone. Whatever it raises is a failed call: its stack has errors outside every hierarchy
    (a line beyond the limit is none of aiohttp's ClientErrors), and one that escaped would end a watch for good."""
    try:
        yield
    except SessionError:
        raise
    except Exception as error:
        raise errors.of_failure(error) from error
