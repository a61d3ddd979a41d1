"""Who may ask, and how often: tokens with rights, and the rate limit with its block of five minutes."""

import re
from collections import deque
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from sandbox.cloudflare.envelope import RefusedError, Reply, Request, success

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

    def __init__(self, tokens: Mapping[str, Set[str]], *, limit: int = LIMIT) -> None:
        self.limit = limit
        self.tokens: dict[str, Token] = {}
        self.grant(tokens)

    def grant(self, tokens: Mapping[str, Set[str]]) -> None:
        """These tokens and no others; one that stays keeps what it has used. Raises ValueError for unknown rights."""
        if unknown := frozenset[str]().union(*tokens.values()) - ALL_RIGHTS:
            raise ValueError(f"rights: {', '.join(sorted(ALL_RIGHTS))} are known, not {', '.join(sorted(unknown))}")
        kept = {secret: self.tokens.get(secret) or Token() for secret in tokens}
        for secret, token in kept.items():
            token.rights = frozenset(tokens[secret])
        self.tokens = kept

    def token_of(self, request: Request) -> Token:
        """The token of this request. Raises RefusedError (400, 401, 403)."""
        match = _BEARER.fullmatch(request.headers.get("authorization", ""))
        if match is None:
            chain = ((6111, "Invalid format for Authorization header"),)
            raise RefusedError(400, 6003, "Invalid request headers", chain=chain)
        token = self.tokens.get(match[1])
        if token is None or token.status != "active":
            if request.path.endswith("/tokens/verify"):
                raise RefusedError(401, 1000, "Invalid API Token")
            raise RefusedError(403, 9109, "Invalid access token")
        return token

    def require(self, token: Token, *rights: str) -> None:
        """Raises RefusedError (403) for a token with none of these rights; editing includes reading."""
        if not token.rights & {*rights, *(right.replace(":read", ":edit") for right in rights)}:
            raise RefusedError(403, 10000, "Authentication error")

    def verify(self, token: Token) -> Reply:
        """`GET /user/tokens/verify`: says nothing about rights."""
        return success({"id": "0" * 32, "status": token.status})

    def headers(self, token: Token, now: float) -> dict[str, str]:
        """What every answer tells of the limit."""
        left = 0 if now < token.blocked_until else max(0, self.limit - len(token.seen))
        until = max(token.blocked_until, token.seen[0] + WINDOW if token.seen else 0.0) - now
        return {
            "Ratelimit": f'"default";r={left};t={max(0, round(until))}',
            "Ratelimit-Policy": f'"default";q={self.limit};w={round(WINDOW)}',
        }

    def count(self, token: Token, now: float) -> None:
        """One more request of this token. Raises RefusedError (429) for one too many, and during the block."""
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
