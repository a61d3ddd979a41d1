"""One account with a zone and tunnels: what the API does with a request. Pure: no I/O, no clock, time is an argument.

`server` calls `handle` for HTTP, a simulation calls it in-process; `edge` reads what a visitor would meet. Everything
that a setting changes is an attribute, so that the knobs and tests can turn it.
"""

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sandbox.cloudflare.access import ALL_RIGHTS, LIMIT, Access, Token
from sandbox.cloudflare.envelope import Json, RefusedError, Reply, Request, no_route, parsed, success
from sandbox.cloudflare.records import Records
from sandbox.cloudflare.validation import PLANS, check_ingress

ZONE_ID = "0123456789abcdef0123456789abcdef"
ACCOUNT_ID = "fedcba9876543210fedcba9876543210"
TUNNEL_ID = "6ff42ae2-765d-4adf-8112-31c55c1551ef"
TOKEN = "sandbox-token"
QUOTAS = {"free": 200, "pro": 3500, "enterprise": 3500}

_ID = r"[0-9a-f]{32}"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass
class Tunnel:
    """A tunnel and its configuration; version 0 was never configured."""

    id: str
    source: str = "cloudflare"  # or "local"
    is_deleted: bool = False
    version: int = 0
    config: Json | None = None
    created_at: str = "2026-01-01T00:00:00Z"
    connectors: list[Json] = field(default_factory=list)

    def configure(self, config: Json, now: str) -> None:
        """A whole new document. Raises RefusedError (400) and changes nothing."""
        check_ingress(config)
        self.config = {"warp-routing": {"enabled": False}, **copy.deepcopy(config)}
        self.version += 1
        self.created_at = now

    def configuration(self) -> Json:
        """The result of GET and PUT."""
        return {
            "tunnel_id": self.id,
            "version": self.version,
            "config": copy.deepcopy(self.config),
            "source": self.source,
            "created_at": self.created_at,
        }


class World:
    """One account."""

    def __init__(
        self,
        *,
        zone_id: str = ZONE_ID,
        zone_name: str = "example.org",
        account_id: str = ACCOUNT_ID,
        tunnel_id: str = TUNNEL_ID,
        plan: str = "free",
        quota: int | None = None,
        tokens: dict[str, frozenset[str]] | None = None,
        rate_limit: int = LIMIT,
    ) -> None:
        self.zone_id = zone_id
        self.zone_name = zone_name
        self.account_id = account_id
        self.plan = plan
        self.tunnels = {tunnel_id: Tunnel(tunnel_id)}
        self.tunnel_id = tunnel_id
        self.access = Access(tokens or {TOKEN: ALL_RIGHTS}, limit=rate_limit)
        self.records = Records(zone_name, PLANS[plan], QUOTAS[plan] if quota is None else quota)

    @property
    def tunnel(self) -> Tunnel:
        """The tunnel that the operator is told about."""
        return self.tunnels[self.tunnel_id]

    def handle(self, request: Request, now: float) -> Reply:
        """What the API answers at this time (seconds since the epoch)."""
        try:
            token = self.access.admit(request, now)
            reply = self._route(request, token, _stamp(now))
        except RefusedError as error:
            reply = error.reply()
            return Reply(reply.status, reply.body, dict(error.headers))
        return Reply(reply.status, reply.body, self.access.headers(token, now))

    def snapshot(self) -> Json:
        """Everything, for the knobs and for comparisons."""
        tunnels = {
            key: {**tunnel.configuration(), "deleted": tunnel.is_deleted} for key, tunnel in self.tunnels.items()
        }
        return {"records": [dict(record) for record in self.records.all()], "tunnels": tunnels}

    def _route(self, request: Request, token: Token, now: str) -> Reply:
        for method, pattern, right, answer in self._ROUTES:
            found = pattern.fullmatch(request.path)
            if found and method == request.method:
                if right:
                    self.access.require(token, right)
                return answer(self, request, now, *found.groups())
        raise no_route(request.path)

    def _check_zone(self, zone: str) -> None:
        if zone != self.zone_id:
            raise no_route(f"/zones/{zone}")

    def _get_zone(self, _: Request, now: str, zone: str) -> Reply:
        self._check_zone(zone)
        account = {"id": self.account_id, "name": "Sandbox"}
        facts = {"status": "active", "type": "full", "paused": False, "plan": {"legacy_id": self.plan}}
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

    def _known_tunnel(self, account: str, tunnel: str, code: int) -> Tunnel:
        found = self.tunnels.get(tunnel) if account == self.account_id else None
        if found is None or (found.is_deleted and code == 1055):
            raise RefusedError(404, code, "Tunnel not found" if code != 1055 else "Configuration for tunnel not found")
        return found

    def _get_tunnel(self, _: Request, now: str, account: str, tunnel: str) -> Reply:
        found = self._known_tunnel(account, tunnel, 1003)
        status = "healthy" if found.connectors else "inactive"
        deleted = now if found.is_deleted else None
        facts = {"account_tag": account, "name": "sandbox", "tun_type": "cfd_tunnel", "metadata": {}}
        return success({"id": tunnel, "status": status, "config_src": found.source, "deleted_at": deleted, **facts})

    def _connections(self, _: Request, now: str, account: str, tunnel: str) -> Reply:
        return success(copy.deepcopy(self._known_tunnel(account, tunnel, 1003).connectors))

    def _get_configuration(self, _: Request, now: str, account: str, tunnel: str) -> Reply:
        found = self._known_tunnel(account, tunnel, 1055)
        return success({"account_id": account, **found.configuration()})

    def _put_configuration(self, request: Request, now: str, account: str, tunnel: str) -> Reply:
        found = self._known_tunnel(account, tunnel, 1055)
        config = parsed(request.body).get("config")
        found.configure(config if isinstance(config, dict) else {}, now)
        return success({"account_id": account, **found.configuration()})

    def _verify(self, request: Request, now: str) -> Reply:
        token = self.access.tokens[request.headers["authorization"].partition(" ")[2]]
        return self.access.verify(token)

    _ROUTES: tuple[tuple[str, re.Pattern[str], str, Callable[..., Reply]], ...] = tuple(
        (method, re.compile(pattern), right, answer)
        for method, pattern, right, answer in (
            ("GET", "/user/tokens/verify", "", _verify),
            ("GET", rf"/zones/({_ID})", "zone:read", _get_zone),
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


def _stamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
