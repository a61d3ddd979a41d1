"""What Cloudflare answers becomes an error of `fsm.errors`, by one table. Called by `client` alone.

    SharedError            the same for every session: the client's breaker opens
    + TokenInvalid           401; 6003, 6111 (a malformed header); 9109, though that comes with a 403
    + TokenForbidden         403; 10000
    + ZoneNotFound           404 at the zone; 7000, 7003 there
    + TunnelNotFound         404 at the tunnel; 1055, 1002, 1003 there
    + TunnelLocallyManaged   the document says `source: local` (raised by `document`)
    + DomainNotInZone        DOMAIN is not under the zone's name (raised by `dns`)
    + QuotaExceededError     81045: posts alone are held back (`dns` has a breaker of its own for them)
    TransientError
    + RateLimited            429 or 971, 10100, 10300: retry_after says how long
    + Unreachable            no reply to a read, 5xx for a read, whatever is unknown
    + OutcomeUnknownError    no reply to a write, 5xx for a write: it may have been carried out
    + RecordExistsError      81053, 81054, 81057, 81058: look, then adopt or conflict
    + RecordGoneError        81044, 404 in a batch: look, then send what is left
    + TooLateError           the evidence grew too old while the call waited: nothing was sent, look again
    PermanentError
    + RejectedError          400, 413, 422: RecordRejected in the zone, RuleRejected (1056) in the tunnel

Texts are stable: codes and Cloudflare's own messages, never a request id.
"""

from collections.abc import Mapping
from typing import Any

from cloudflare_ops.endpoints import Endpoint
from fsm.errors import PermanentError, SessionError, SharedError, TransientError

RIGHTS = (
    "give CF_API_TOKEN a token with Zone:DNS:Edit and Zone:Read on the zone and "
    "Account:Cloudflare Tunnel:Edit on its account"
)
MESSAGE_LIMIT = 300  # characters of Cloudflare's own words: a last-error has 1,000 in all
DEFAULT_RETRY_AFTER = 60.0  # seconds, for a 429 that does not say
RETRY_AFTER_CAP = 3600.0  # seconds: nobody means more, and the operator must not sleep for a day


class QuotaExceededError(SharedError):
    """The zone takes no more records."""


class OutcomeUnknownError(TransientError):
    """A write that may have been carried out."""


class RecordExistsError(TransientError):
    """A post whose name is taken already."""


class RecordGoneError(TransientError):
    """A patch or delete whose record is gone already."""


class TooLateError(TransientError):
    """Not sent: what the caller last saw is too old by now."""

    def __init__(self) -> None:
        super().__init__("TooLate", "Cloudflare answered too slowly to write safely")


class RejectedError(PermanentError):
    """Cloudflare refuses what was sent: it is invalid."""


# What Cloudflare says about the request itself, once token, zone and tunnel are beyond doubt.
VERDICTS = (QuotaExceededError, RecordExistsError, RecordGoneError, RejectedError)

_SHARED = {
    "TokenInvalid": ("Cloudflare does not accept the API token", RIGHTS),
    "TokenForbidden": ("the API token lacks a right", RIGHTS),
    "ZoneNotFound": ("Cloudflare does not know the zone", "check CF_ZONE_ID and the token's zone"),
    "TunnelNotFound": (
        "the tunnel does not exist in the zone's account, or was deleted",
        "check CF_TUNNEL_ID, or make the tunnel again and set its id",
    ),
    "TunnelLocallyManaged": (
        "the tunnel takes its rules from a file beside cloudflared",
        "migrate it to remote management in the dashboard, or set CF_TUNNEL_ID to a tunnel that is",
    ),
}
_WAY = "check the way to api.cloudflare.com, port 443: network policies, name resolution, HTTPS_PROXY"
_MEND = {
    "RecordRejected": "mend what these words name: most often DOMAIN or ROUTE_SUFFIX",
    "RuleRejected": "mend what these words name: most often ROUTER_SERVICE_URL",
}
_QUOTA = (
    "the zone's DNS record quota is used up",
    "delete records that nobody needs, or move the zone to a plan with more; waiting sessions then go on by themselves",
)
_RATE_LIMITED = frozenset({971, 10100, 10300, 10429})
_EXISTS = frozenset({81053, 81054, 81057, 81058})
_GONE = frozenset({81044})
_QUOTA_CODES = frozenset({81045})
# A malformed header; an unknown token, one from a wrong address, or for something else altogether (with a 403).
_BAD_TOKEN = frozenset({6003, 6111, 9109})
_FORBIDDEN = frozenset({10000})
_NO_SUCH_TUNNEL = frozenset({1002, 1003, 1055})
_NO_SUCH_PATH = frozenset({7000, 7003})
_INVALID = frozenset({400, 413, 422})


def shared(reason: str, said: str = "") -> SharedError:
    """The account-wide trouble of that name; `said` is what Cloudflare said about it."""
    text, remedy = _SHARED[reason]
    return SharedError(reason, f"{text} ({said})" if said else text, remedy)


def lost(method: str, *, sent: bool, why: str = "") -> TransientError:
    """No reply; `sent` tells that the request may have reached Cloudflare, `why` what is in the way, if known."""
    what = f": {why}" if why else ""
    if method == "GET" or not sent:
        text = f"no reply from the Cloudflare API{what}"
        return TransientError("CloudflareUnreachable", text, "" if sent else _WAY)
    return OutcomeUnknownError("CloudflareUnreachable", f"no reply from the Cloudflare API to a write{what}")


def translate(method: str, endpoint: Endpoint, status: int, headers: Mapping[str, str], body: object) -> SessionError:
    """The error for a reply that is no success."""
    codes, said = _read(body)
    # A server that fails tells nothing about the account, whatever code it gives, and a write may have been done.
    of_account = None if status >= 500 else _by_account(endpoint, status, codes, said)
    return of_account or _by_request(endpoint, status, codes, said, headers) or _unknown(method, status, said)


def _by_account(endpoint: Endpoint, status: int, codes: frozenset[int], said: str) -> SessionError | None:
    if status == 401 or codes & _BAD_TOKEN:
        return shared("TokenInvalid", said)
    if status == 403 or codes & _FORBIDDEN:
        return shared("TokenForbidden", said)
    if codes & _QUOTA_CODES:
        return QuotaExceededError("RecordQuotaExceeded", *_QUOTA)
    if endpoint.is_dns and (codes & _NO_SUCH_PATH or (status == 404 and endpoint is not Endpoint.BATCH)):
        return shared("ZoneNotFound", said)
    if not endpoint.is_dns and (status == 404 or codes & _NO_SUCH_TUNNEL):
        return shared("TunnelNotFound", said)
    return None


def _by_request(
    endpoint: Endpoint, status: int, codes: frozenset[int], said: str, headers: Mapping[str, str]
) -> SessionError | None:
    if status == 429 or codes & _RATE_LIMITED:
        text = "Cloudflare takes no more requests for a while (1,200 per 5 minutes and token)"
        return TransientError("RateLimited", text, retry_after=_retry_after(headers))
    if codes & _EXISTS:
        return RecordExistsError("RecordExists", said)
    if codes & _GONE or (status == 404 and endpoint is Endpoint.BATCH):
        return RecordGoneError("RecordGone", said or "a record is gone")
    if status in _INVALID:
        reason = "RecordRejected" if endpoint.is_dns else "RuleRejected"
        return RejectedError(reason, said or f"HTTP {status}", _MEND[reason])
    return None


def _unknown(method: str, status: int, said: str) -> TransientError:
    kind = OutcomeUnknownError if method != "GET" and not 400 <= status < 500 else TransientError
    # An error page's words may hold a ray id; the API's own messages are in `said`.
    return kind("CloudflareError", f"HTTP {status} from the Cloudflare API" + (f" ({said})" if said else ""))


def _read(body: object) -> tuple[frozenset[int], str]:
    """The codes and the words of an envelope's errors, those in `error_chain` too: a 1004 says nothing without them."""
    found = [pair for error in _dicts(body, "errors") for pair in (error, *_dicts(error, "error_chain"))]
    codes = frozenset(code for error in found if isinstance(code := error.get("code"), int))
    words = dict.fromkeys(f"{error.get('code')}: {str(error.get('message', '')).strip()}" for error in found)
    return codes, "; ".join(words)[:MESSAGE_LIMIT]


def _dicts(holder: object, key: str) -> list[dict[str, Any]]:
    items = holder.get(key) if isinstance(holder, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return DEFAULT_RETRY_AFTER
    # `nan` compares false with everything, so it ends as the default too.
    return min(seconds, RETRY_AFTER_CAP) if seconds > 0 else DEFAULT_RETRY_AFTER
