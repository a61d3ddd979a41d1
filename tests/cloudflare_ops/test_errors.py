"""Every answer of Cloudflare and every exception of its SDK has its place in the tree, with a stable text."""

import asyncio
import inspect
import itertools
from typing import Any

import cloudflare._exceptions as sdk
import httpx
import pytest

from cloudflare_ops import errors
from cloudflare_ops.endpoints import Endpoint
from cloudflare_ops.transport import NoReplyError, Reply, SdkTransport
from fsm.errors import PermanentError, SessionError, SharedError, TransientError

MEND = ". Mend what these words name: most often "
WAY = "Check the way to api.cloudflare.com, port 443: network policies, name resolution, HTTPS_PROXY"
ZONE, RECORDS, BATCH, TUNNEL = Endpoint.ZONE, Endpoint.RECORDS, Endpoint.BATCH, Endpoint.TUNNEL


def translate(method: str, endpoint: Endpoint, status: int, code: int = 0, **headers: str) -> SessionError:
    body = {"success": False, "errors": [{"code": code, "message": "words"}]}
    return errors.translate(method, endpoint, status, headers, body)


@pytest.mark.parametrize(
    ("method", "endpoint", "answer", "kind", "reason"),
    [
        ("GET", ZONE, (401, 1000), SharedError, "TokenInvalid"),
        ("GET", ZONE, (400, 6003), SharedError, "TokenInvalid"),
        ("PUT", TUNNEL, (403, 10000), SharedError, "TokenForbidden"),
        ("GET", RECORDS, (403, 9109), SharedError, "TokenInvalid"),
        ("GET", ZONE, (404, 7003), SharedError, "ZoneNotFound"),
        ("POST", BATCH, (404, 7003), SharedError, "ZoneNotFound"),
        ("GET", TUNNEL, (404, 1055), SharedError, "TunnelNotFound"),
        ("PUT", TUNNEL, (404, 1002), SharedError, "TunnelNotFound"),
        ("POST", BATCH, (400, 81045), errors.QuotaExceededError, "RecordQuotaExceeded"),
        ("POST", BATCH, (400, 81053), errors.RecordExistsError, "RecordExists"),
        ("POST", BATCH, (400, 81057), errors.RecordExistsError, "RecordExists"),
        ("POST", BATCH, (400, 81058), errors.RecordExistsError, "RecordExists"),
        ("POST", BATCH, (404, 81044), errors.RecordGoneError, "RecordGone"),
        ("POST", BATCH, (400, 1004), PermanentError, "RecordRejected"),
        ("PUT", TUNNEL, (400, 1056), PermanentError, "RuleRejected"),
        ("PUT", TUNNEL, (413, 0), PermanentError, "RuleRejected"),
        ("GET", RECORDS, (429, 971), TransientError, "RateLimited"),
        ("GET", RECORDS, (500, 0), TransientError, "CloudflareError"),
        ("GET", TUNNEL, (500, 1003), TransientError, "CloudflareError"),
        ("POST", BATCH, (503, 10000), errors.OutcomeUnknownError, "CloudflareError"),
        ("POST", BATCH, (502, 0), errors.OutcomeUnknownError, "CloudflareError"),
        ("POST", BATCH, (200, 0), errors.OutcomeUnknownError, "CloudflareError"),
        ("POST", BATCH, (418, 12345), TransientError, "CloudflareError"),
    ],
)
def test_every_answer_has_its_place(
    method: str, endpoint: Endpoint, answer: tuple[int, int], kind: type[SessionError], reason: str
) -> None:
    error = translate(method, endpoint, *answer)
    assert isinstance(error, kind)
    assert error.reason == reason
    assert error.remedy or not isinstance(error, SharedError)


BODIES: tuple[object, ...] = (None, "text", [], {"errors": "text"}, {"errors": [1, {"code": "x", "error_chain": 3}]})


@pytest.mark.parametrize("endpoint", list(Endpoint))
def test_no_status_is_without_an_error_and_only_a_write_can_be_in_doubt(endpoint: Endpoint) -> None:
    for status, body in itertools.product((*range(300, 600), 200), BODIES):
        error = errors.translate("GET", endpoint, status, {}, body)
        assert not isinstance(error, errors.OutcomeUnknownError)
        assert isinstance(errors.translate("PUT", endpoint, status, {}, body), SessionError)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0.5", 0.5), ("0", 60), ("-1", 60), ("nan", 60), ("soon", 60), (None, 60), ("inf", 3600), ("300", 300)],
)
def test_a_pause_that_cannot_be_read_is_a_pause_all_the_same(header: str | None, seconds: float) -> None:
    error = translate("GET", ZONE, 429, 971, **({"retry-after": header} if header else {}))
    assert isinstance(error, TransientError)
    assert error.retry_after == seconds


def test_the_words_of_an_error_chain_are_told_and_long_words_are_cut() -> None:
    chain = [{"code": 9007, "message": "Content for CNAME record is invalid."}]
    body = {"errors": [{"code": 1004, "message": "DNS Validation Error", "error_chain": chain}]}
    said = str(errors.translate("POST", BATCH, 400, {}, body))
    words = "1004: DNS Validation Error; 9007: Content for CNAME record is invalid"
    assert said == f"RecordRejected: {words}{MEND}DOMAIN or ROUTE_SUFFIX"
    endless = {"errors": [{"code": 1, "message": "x" * 5000}]}
    assert len(str(errors.translate("POST", BATCH, 400, {}, endless))) < 400


def test_an_html_page_with_a_ray_id_leaves_no_trace() -> None:
    assert str(errors.translate("GET", ZONE, 520, {}, None)) == "CloudflareError: HTTP 520 from the Cloudflare API"


def test_what_is_shared_is_told_with_a_remedy_and_with_cloudflares_words_if_it_said_any() -> None:
    bare, remedy = "ZoneNotFound: Cloudflare does not know the zone", ". Check CF_ZONE_ID and the token's zone"
    assert str(errors.shared("ZoneNotFound")) == bare + remedy
    assert str(errors.shared("ZoneNotFound", "7003: no")) == bare + " (7003: no)" + remedy


def test_a_write_that_came_too_late_says_why_nothing_was_sent() -> None:
    assert str(errors.TooLateError()) == "TooLate: Cloudflare answered too slowly to write safely"


RATE_LIMITED = "RateLimited: Cloudflare takes no more requests for a while (1,200 per 5 minutes and token)"


@pytest.mark.parametrize(
    ("method", "endpoint", "answer", "text"),
    [
        ("GET", ZONE, (401, 1000), "TokenInvalid: Cloudflare does not accept the API token (1000: words). "),
        ("GET", ZONE, (403, 10000), "TokenForbidden: the API token lacks a right (10000: words). "),
        ("GET", ZONE, (404, 0), "ZoneNotFound: Cloudflare does not know the zone (0: words). "),
        ("GET", ZONE, (405, 0), "CloudflareError: HTTP 405 from the Cloudflare API (0: words)"),
        ("GET", RECORDS, (404, 0), "ZoneNotFound: Cloudflare does not know the zone (0: words). "),
        (
            "GET",
            TUNNEL,
            (404, 0),
            "TunnelNotFound: the tunnel does not exist in the zone's account, or was deleted (0: words). ",
        ),
        ("GET", TUNNEL, (405, 0), "CloudflareError: HTTP 405 from the Cloudflare API (0: words)"),
        ("GET", ZONE, (429, 0), RATE_LIMITED),
        ("GET", ZONE, (430, 0), "CloudflareError: HTTP 430 from the Cloudflare API (0: words)"),
        ("GET", ZONE, (400, 10429), RATE_LIMITED),
        ("POST", BATCH, (400, 81057), "RecordExists: 81057: words"),
        ("POST", BATCH, (400, 81044), "RecordGone: 81044: words"),
        ("POST", BATCH, (404, 0), "RecordGone: 0: words"),
        ("POST", BATCH, (405, 0), "CloudflareError: HTTP 405 from the Cloudflare API (0: words)"),
        ("POST", BATCH, (400, 1004), f"RecordRejected: 1004: words{MEND}DOMAIN or ROUTE_SUFFIX"),
        ("PUT", TUNNEL, (400, 1056), f"RuleRejected: 1056: words{MEND}ROUTER_SERVICE_URL"),
    ],
)
def test_every_answer_has_its_text(method: str, endpoint: Endpoint, answer: tuple[int, int], text: str) -> None:
    error = translate(method, endpoint, *answer)
    assert str(error).startswith(text) if text.endswith(". ") else str(error) == text


@pytest.mark.parametrize(
    ("endpoint", "status", "text"),
    [
        (BATCH, 404, "RecordGone: a record is gone"),
        (BATCH, 422, f"RecordRejected: HTTP 422{MEND}DOMAIN or ROUTE_SUFFIX"),
        (TUNNEL, 413, f"RuleRejected: HTTP 413{MEND}ROUTER_SERVICE_URL"),
    ],
)
def test_an_answer_without_words_has_a_text_all_the_same(endpoint: Endpoint, status: int, text: str) -> None:
    assert str(errors.translate("PUT", endpoint, status, {}, None)) == text


def test_an_error_without_a_message_is_told_by_its_code() -> None:
    said = str(errors.translate("POST", BATCH, 400, {}, {"errors": [{"code": 1004}]}))
    assert said == f"RecordRejected: 1004: {MEND}DOMAIN or ROUTE_SUFFIX"


@pytest.mark.parametrize(
    ("method", "sent", "kind", "text"),
    [
        ("GET", True, TransientError, "no reply from the Cloudflare API: why"),
        ("GET", False, TransientError, f"no reply from the Cloudflare API: why. {WAY}"),
        ("PUT", False, TransientError, f"no reply from the Cloudflare API: why. {WAY}"),
        ("PUT", True, errors.OutcomeUnknownError, "no reply from the Cloudflare API to a write: why"),
    ],
)
def test_only_a_write_that_was_sent_is_in_doubt_without_a_reply(
    method: str, sent: bool, kind: type[SessionError], text: str
) -> None:
    error = errors.lost(method, sent=sent, why="why")
    assert type(error) is kind
    assert str(error) == f"CloudflareUnreachable: {text}"
    assert str(errors.lost(method, sent=sent)) == f"CloudflareUnreachable: {text.replace(': why', '')}"


def test_only_a_server_that_fails_leaves_a_write_in_doubt() -> None:
    assert type(translate("PUT", ZONE, 399)) is errors.OutcomeUnknownError
    assert type(translate("PUT", TUNNEL, 418)) is TransientError
    assert type(translate("PUT", TUNNEL, 499)) is TransientError
    assert type(translate("PUT", TUNNEL, 500)) is errors.OutcomeUnknownError


def _exceptions() -> list[type[sdk.CloudflareError]]:
    found = [item for item in vars(sdk).values() if inspect.isclass(item) and issubclass(item, sdk.CloudflareError)]
    assert len(found) > 10
    return found


def _raised(kind: type[sdk.CloudflareError]) -> sdk.CloudflareError:
    request = httpx.Request("POST", "http://127.0.0.1/")
    if issubclass(kind, sdk.APIStatusError):
        status = getattr(kind, "status_code", 500)
        return kind("no", response=httpx.Response(status, request=request, json={"success": False}), body=None)
    if issubclass(kind, sdk.APIResponseValidationError):
        return kind(httpx.Response(200, request=request), None)
    arguments: dict[type[Any], Any] = {sdk.CloudflareError: lambda: kind("no")}
    arguments[sdk.APIError] = lambda: sdk.APIError("no", request, body=None)
    arguments[sdk.APIConnectionError] = lambda: sdk.APIConnectionError(request=request)
    arguments[sdk.APITimeoutError] = lambda: sdk.APITimeoutError(request=request)
    error = arguments[kind]()
    assert isinstance(error, sdk.CloudflareError)
    return error


@pytest.mark.parametrize("kind", _exceptions(), ids=lambda kind: kind.__name__)
async def test_no_exception_of_the_sdk_gets_through(
    kind: type[sdk.CloudflareError], monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = SdkTransport("t" * 20)

    async def fails(*_: Any, **__: Any) -> Any:
        raise _raised(kind)

    monkeypatch.setattr(transport._sdk, "post", fails)
    result = (await asyncio.gather(transport.request("POST", "/x", None, {}, 1), return_exceptions=True))[0]
    await transport.close()
    if issubclass(kind, sdk.APIStatusError):
        assert isinstance(result, Reply)
    else:
        assert isinstance(result, NoReplyError)
        assert result.sent, "nothing tells that it was not carried out"
