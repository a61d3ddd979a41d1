"""Who may ask, and how often: tokens with rights, and the rate limit with its block of five minutes."""

import re
from collections import deque
from dataclasses import dataclass, field

from sandbox.cloudflare.envelope import Json, RefusedError, Reply, Request, success

WINDOW = 300.0  # seconds
BLOCK = 300.0  # seconds, counted from the request that was too much
LIMIT = 1200  # requests in a window, per token

ALL_RIGHTS = frozenset({"zone:read", "dns:read", "dns:edit", "tunnel:read", "tunnel:edit"})
_BEARER = re.compile(r"Bearer ([\x21-\x7e]+)")


@dataclass
class Token:
    """A token's rights and what it has used of its limit."""

    rights: frozenset[str] = ALL_RIGHTS
    status: str = "active"
    seen: deque[float] = field(default_factory=deque)
    blocked_until: float = 0.0


class Access:
    """The tokens, and the gate in front of every endpoint."""

    def __init__(self, tokens: dict[str, frozenset[str]], *, limit: int = LIMIT) -> None:
        self.tokens = {secret: Token(rights) for secret, rights in tokens.items()}
        self.limit = limit

    def admit(self, request: Request, now: float) -> Token:
        """The token of this request. Raises RefusedError (400, 401, 403, 429)."""
        match = _BEARER.fullmatch(request.headers.get("authorization", ""))
        if match is None:
            chain = ((6111, "Invalid format for Authorization header"),)
            raise RefusedError(400, 6003, "Invalid request headers", chain=chain)
        token = self.tokens.get(match[1])
        if token is None or token.status != "active":
            if request.path == "/user/tokens/verify":
                raise RefusedError(401, 1000, "Invalid API Token")
            raise RefusedError(403, 9109, "Invalid access token")
        self._count(token, now)
        return token

    def require(self, token: Token, right: str) -> None:
        """Raises RefusedError (403) for a token without this right; editing includes reading."""
        if right not in token.rights and right.replace(":read", ":edit") not in token.rights:
            raise RefusedError(403, 10000, "Authentication error")

    def verify(self, token: Token) -> Reply:
        """`GET /user/tokens/verify`: says nothing about rights."""
        return success({"id": "0" * 32, "status": token.status})

    def headers(self, token: Token, now: float) -> dict[str, str]:
        """What every answer tells of the limit."""
        left = max(0, self.limit - len(token.seen))
        until = token.seen[0] + WINDOW - now if token.seen else WINDOW
        return {
            "Ratelimit": f'"default";r={left};t={max(0, round(until))}',
            "Ratelimit-Policy": f'"default";q={self.limit};w={round(WINDOW)}',
        }

    def report(self) -> Json:
        """Used requests by token, for the knobs (the secrets stay out of it)."""
        return {str(number): len(token.seen) for number, token in enumerate(self.tokens.values())}

    def _count(self, token: Token, now: float) -> None:
        while token.seen and token.seen[0] + WINDOW <= now:
            token.seen.popleft()
        if now < token.blocked_until:
            raise _throttled(token, now)
        token.seen.append(now)
        if len(token.seen) > self.limit:
            token.blocked_until = now + BLOCK
            raise _throttled(token, now)


def _throttled(token: Token, now: float) -> RefusedError:
    error = RefusedError(429, 971, "Please wait and consider throttling your request speed")
    error.headers["Retry-After"] = str(max(1, round(token.blocked_until - now)))
    return error
