"""One account with a zone and tunnels: what the API does with a request. Pure: no I/O, no clock, time is an argument.

`server` calls `handle` for HTTP, a simulation calls it in-process; `edge` reads what a visitor would meet. Everything
that a setting changes is an attribute, so that the knobs and tests can turn it.
"""

import copy
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import UTC, datetime

from sandbox.cloudflare.access import ALL_RIGHTS, LIMIT, Access, Token
from sandbox.cloudflare.envelope import Json, RefusedError, Reply, Request, no_route, parsed, success
from sandbox.cloudflare.records import Records
from sandbox.cloudflare.tunnels import Tunnel
from sandbox.cloudflare.validation import PLANS

ZONE_ID = "0123456789abcdef0123456789abcdef"
ACCOUNT_ID = "fedcba9876543210fedcba9876543210"
TUNNEL_ID = "6ff42ae2-765d-4adf-8112-31c55c1551ef"
TOKEN = "sandbox-token"
# One for each way in which a token can fall short.
TOKENS = {
    TOKEN: ALL_RIGHTS,
    f"{TOKEN}-read": frozenset({"zone:read", "dns:read", "tunnel:read"}),
    f"{TOKEN}-dns": frozenset({"dns:edit"}),
    f"{TOKEN}-tunnel": frozenset({"tunnel:edit"}),
    f"{TOKEN}-nothing": frozenset[str](),
}

_ID = r"[0-9a-f]{32}"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class World:
    """One account. `tokens` says which rights each secret has; `quota` is how many records the zone takes."""

    def __init__(
        self,
        *,
        zone_id: str = ZONE_ID,
        zone_name: str = "example.org",
        account_id: str = ACCOUNT_ID,
        tunnel_id: str = TUNNEL_ID,
        plan: str = "free",
        quota: int | None = None,
        tokens: Mapping[str, Set[str]] = TOKENS,
        rate_limit: int = LIMIT,
    ) -> None:
        self.zone_id = zone_id
        self.zone_name = zone_name
        self.account_id = account_id
        self.tunnels = {tunnel_id: Tunnel(tunnel_id)}
        self.tunnel_id = tunnel_id
        self.access = Access(tokens, limit=rate_limit)
        self.records = Records(zone_name, PLANS[plan], PLANS[plan].records if quota is None else quota)

    @property
    def tunnel(self) -> Tunnel:
        """The tunnel that the operator is told about."""
        return self.tunnels[self.tunnel_id]

    def handle(self, request: Request, now: float) -> Reply:
        """What the API answers at this time (seconds since the epoch)."""
        try:
            token = self.access.token_of(request)
        except RefusedError as error:
            return error.reply()
        reply = self._admitted(request, token, now)
        return replace(reply, headers={**self.access.headers(token, now), **reply.headers})

    def snapshot(self) -> Json:
        """Everything, for the knobs and for comparisons."""
        tunnels = {
            key: {**tunnel.configuration(), "deleted": tunnel.is_deleted} for key, tunnel in self.tunnels.items()
        }
        return {"records": [dict(record) for record in self.records.all()], "tunnels": tunnels}

    def _admitted(self, request: Request, token: Token, now: float) -> Reply:
        try:
            self.access.count(token, now)
            return self._route(request, token, stamp(now))
        except RefusedError as error:
            return error.reply()

    def _route(self, request: Request, token: Token, now: str) -> Reply:
        routes = [(route, found) for route in self._ROUTES if (found := route[1].fullmatch(request.path))]
        if not routes:
            raise no_route(request.path)
        for (method, _, rights, answer), found in routes:
            if method == request.method:
                if rights:
                    self.access.require(token, *rights)
                return answer(self, request, now, *found.groups())
        raise RefusedError(403, 10000, f"{request.method} method not allowed for the api_token authentication scheme")

    def _check_zone(self, zone: str) -> None:
        if zone != self.zone_id:
            raise no_route(f"/zones/{zone}")

    def _get_zone(self, _: Request, now: str, zone: str) -> Reply:
        self._check_zone(zone)
        account = {"id": self.account_id, "name": "Sandbox"}
        facts = {"status": "active", "type": "full", "paused": False, "plan": {"legacy_id": self.records.plan.name}}
        return success({"id": zone, "name": self.zone_name, "account": account, **facts})

    def _zone_records(self, request: Request, now: str, zone: str, part: str = "") -> Reply:
        self._check_zone(zone)
        if request.method == "GET":
            return self.records.usage() if part else self.records.list(request.query)
        return self.records.batch(request.body, now) if part else self.records.create(request.body, now)

    def _one_record(self, request: Request, now: str, zone: str, key: str) -> Reply:
        self._check_zone(zone)
        match request.method:
            case "GET":
                return self.records.get(key)
            case "PATCH":
                return self.records.patch(key, request.body, now)
            case "PUT":
                return self.records.put(key, request.body, now)
            case _:
                return self.records.delete(key)

    def _known_tunnel(self, account: str, tunnel: str) -> Tunnel:
        found = self.tunnels.get(tunnel) if account == self.account_id else None
        if found is None:
            raise RefusedError(404, 1003, "Tunnel not found")
        return found

    def _configurable(self, account: str, tunnel: str) -> Tunnel:
        found = self._known_tunnel(account, tunnel)
        if found.is_deleted:
            raise RefusedError(404, 1055, "Configuration for tunnel not found")
        return found

    def _get_tunnel(self, _: Request, now: str, account: str, tunnel: str) -> Reply:
        return success(self._known_tunnel(account, tunnel).facts(account))

    def _connections(self, _: Request, now: str, account: str, tunnel: str) -> Reply:
        return success(copy.deepcopy(self._known_tunnel(account, tunnel).connectors))

    def _get_configuration(self, _: Request, now: str, account: str, tunnel: str) -> Reply:
        return success({"account_id": account, **self._configurable(account, tunnel).configuration()})

    def _put_configuration(self, request: Request, now: str, account: str, tunnel: str) -> Reply:
        found = self._configurable(account, tunnel)
        config = parsed(request.body).get("config")
        found.configure(config if isinstance(config, dict) else {}, now)
        return success({"account_id": account, **found.configuration()})

    def _verify(self, request: Request, now: str) -> Reply:
        token = self.access.tokens[request.headers["authorization"].partition(" ")[2]]
        return self.access.verify(token)

    def _verify_of_account(self, _: Request, now: str, account: str) -> Reply:
        # Where tokens of an account are looked up; all of ours belong to a user.
        raise RefusedError(401, 1000, "Invalid API Token")

    # A rule holds several rights if any of them will do.
    _ROUTES: tuple[tuple[str, re.Pattern[str], Sequence[str], Callable[..., Reply]], ...] = tuple(
        (method, re.compile(pattern), rights.split(), answer)
        for method, pattern, rights, answer in (
            ("GET", "/user/tokens/verify", "", _verify),
            ("GET", rf"/accounts/({_ID})/tokens/verify", "", _verify_of_account),
            ("GET", rf"/zones/({_ID})", "zone:read dns:read", _get_zone),
            ("GET", rf"/zones/({_ID})/dns_records", "dns:read", _zone_records),
            ("POST", rf"/zones/({_ID})/dns_records", "dns:edit", _zone_records),
            ("GET", rf"/zones/({_ID})/dns_records/(usage)", "dns:read", _zone_records),
            ("POST", rf"/zones/({_ID})/dns_records/(batch)", "dns:edit", _zone_records),
            ("GET", rf"/zones/({_ID})/dns_records/({_ID})", "dns:read", _one_record),
            ("PATCH", rf"/zones/({_ID})/dns_records/({_ID})", "dns:edit", _one_record),
            ("PUT", rf"/zones/({_ID})/dns_records/({_ID})", "dns:edit", _one_record),
            ("DELETE", rf"/zones/({_ID})/dns_records/({_ID})", "dns:edit", _one_record),
            ("GET", rf"/accounts/({_ID})/cfd_tunnel/({_UUID})", "tunnel:read", _get_tunnel),
            ("GET", rf"/accounts/({_ID})/cfd_tunnel/({_UUID})/connections", "tunnel:read", _connections),
            ("GET", rf"/accounts/({_ID})/cfd_tunnel/({_UUID})/configurations", "tunnel:read", _get_configuration),
            ("PUT", rf"/accounts/({_ID})/cfd_tunnel/({_UUID})/configurations", "tunnel:edit", _put_configuration),
        )
    )


def stamp(now: float) -> str:
    """A time as the API writes it."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
