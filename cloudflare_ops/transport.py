"""The one place that touches the SDK: a request goes in, status, headers and parsed body come out. `client` is the
caller; a simulation with virtual time replaces just this class.

Only the SDK's core client is used (auth, TLS, proxies, base URL, telemetry headers): touching a typed resource such as
`client.zero_trust` would load a thousand modules (40 MiB). Its own retries are off: it repeats timed-out POSTs and
ignores a `Retry-After` of more than a minute.
"""

import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import httpx
from cloudflare import APIConnectionError, APIStatusError, AsyncCloudflare, CloudflareError

DEFAULT_BASE_URL = "https://api.cloudflare.com/client/v4"
# Failures of the way there: the request was never sent, so nothing can have come of it.
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)
# What a person can do something about. The first that is among the error's causes counts.
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "a name on the way cannot be resolved"),
    (ssl.SSLError, "no trusted TLS connection"),
    (httpx.ProxyError, "the proxy refuses it"),
    (httpx.ConnectTimeout, "nobody answers there"),
    (httpx.ConnectError, "no connection"),
)


class Reply(NamedTuple):
    """`headers` are case-insensitive or lower-case; `body` is parsed JSON, or None for anything else."""

    status: int
    headers: Mapping[str, str]
    body: object


class NoReplyError(Exception):
    """The connection failed or the time was over; `sent` tells that the request may have been carried out, `why` what
    was in the way, if that is known."""

    def __init__(self, *, sent: bool, why: str = "") -> None:
        super().__init__("no reply")
        self.sent = sent
        self.why = why


class Transport(Protocol):
    """One request."""

    async def request(
        self, method: str, path: str, params: Mapping[str, Any] | None, body: object, timeout: float
    ) -> Reply:
        """Send it; `path` begins with a slash, `timeout` is in seconds.

        Raises:
            NoReplyError: there was no reply.
        """
        ...


class SdkTransport:
    """`Transport` by the official SDK."""

    def __init__(self, token: str, *, base_url: str = DEFAULT_BASE_URL) -> None:
        self._token = token
        self._sdk = AsyncCloudflare(api_token=token, base_url=base_url, max_retries=0)
        # The constructor reads these from the environment, and either would go out beside the token.
        self._sdk.api_key = self._sdk.api_email = self._sdk.user_service_key = None

    async def request(
        self, method: str, path: str, params: Mapping[str, Any] | None, body: object, timeout: float
    ) -> Reply:
        # Half of the time to connect: with all of it nobody would learn that the way there was the reason.
        limits = httpx.Timeout(timeout, connect=timeout / 2)
        options: dict[str, Any] = {"params": dict(params or {}), "timeout": limits}
        try:
            response = await self._send(method, path, body, options)
        except APIStatusError as error:
            response = error.response
        except APIConnectionError as error:
            raise NoReplyError(sent=not isinstance(error.__cause__, _UNSENT), why=_why(error)) from None
        except CloudflareError:
            raise NoReplyError(sent=True) from None
        return Reply(response.status_code, response.headers, self._parsed(response))

    async def _send(self, method: str, path: str, body: object, options: Any) -> httpx.Response:
        if method == "GET":
            return await self._sdk.get(path, cast_to=httpx.Response, options=options)
        if method == "PUT":
            return await self._sdk.put(path, cast_to=httpx.Response, body=body, options=options)
        return await self._sdk.post(path, cast_to=httpx.Response, body=body, options=options)

    def _parsed(self, response: httpx.Response) -> object:
        # Nobody has seen the API quote the token, but what is an error here ends in an annotation.
        text = response.text.replace(self._token, "***") if response.status_code >= 400 else response.text
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return None

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()


def _why(error: BaseException) -> str:
    """One of a few stable texts: what the libraries say may hold addresses and times."""
    causes = tuple(_causes(error))
    return next((text for kind, text in _REASONS if any(isinstance(cause, kind) for cause in causes)), "")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
