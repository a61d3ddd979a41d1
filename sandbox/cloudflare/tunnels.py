"""A tunnel and its configuration: a whole document with a version, and no way to say which version one has read. Pure.

`world` answers for it; `edge` reads the rules.
"""

import copy
from dataclasses import dataclass, field

from sandbox.cloudflare.envelope import Json
from sandbox.cloudflare.validation import check_ingress

_BEGINNING = "2026-01-01T00:00:00Z"


@dataclass
class Tunnel:
    """Version 0 was never configured."""

    id: str
    source: str = "cloudflare"  # or "local"
    is_deleted: bool = False
    version: int = 0
    config: Json | None = None
    created_at: str = _BEGINNING
    connectors: list[Json] = field(default_factory=list)

    def configure(self, config: Json, now: str) -> None:
        """A whole new document. Raises RefusedError (400) and changes nothing."""
        check_ingress(config)
        self.config = {"warp-routing": {"enabled": False}, **copy.deepcopy(config)}
        self.version += 1
        self.created_at = now

    def configuration(self) -> Json:
        """The result of GET and PUT of the configuration."""
        return {
            "tunnel_id": self.id,
            "version": self.version,
            "config": copy.deepcopy(self.config),
            "source": self.source,
            "created_at": self.created_at,
        }

    def facts(self, account: str) -> Json:
        """The result of GET of the tunnel, which is told after its deletion, too. Connections are not part of it."""
        is_connected = bool(self.connectors)
        return {
            "id": self.id,
            "account_tag": account,
            "name": "sandbox",
            "status": "healthy" if is_connected else "inactive",
            "config_src": self.source,
            "conns_active_at": _BEGINNING if is_connected else None,
            "conns_inactive_at": None,
            "created_at": _BEGINNING,
            "deleted_at": _BEGINNING if self.is_deleted else None,
            "tun_type": "cfd_tunnel",
            "metadata": {},
        }
