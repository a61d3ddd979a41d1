"""What a step may ask of the world: a closed set of frozen values, chosen by `fsm.decide`, carried out by
`controller.perform`.

Every effect is idempotent: repeating one that has happened, wholly or in part, changes nothing. `since` is the time
(seconds on the process's own monotonic clock) before which a look at the world proves nothing for this session.
"""

from dataclasses import dataclass

from fsm.desired import DnsRecord, Route, TunnelRule


@dataclass(frozen=True)
class EnsureDns:
    """Every record exists as wanted and is marked as ours."""

    records: tuple[DnsRecord, ...]
    since: float


@dataclass(frozen=True)
class EnsureTunnelRules:
    """Every rule is in the tunnel configuration, before each wildcard; `recorded`: those we wrote, says the record."""

    rules: tuple[TunnelRule, ...]
    recorded: tuple[TunnelRule, ...]
    since: float


@dataclass(frozen=True)
class EnsureRoutes:
    """Every IngressRoute exists as wanted."""

    routes: tuple[Route, ...]
    since: float


@dataclass(frozen=True)
class VerifyReady:
    """A look at all three parts that began after `since`."""

    since: float


@dataclass(frozen=True)
class RemoveRoutes:
    """Of the session's IngressRoutes that are ours, only those named in `keep` are left."""

    session: str
    keep: tuple[str, ...]


@dataclass(frozen=True)
class RemoveTunnelRules:
    """Of the session's rules that are ours, only those for hostnames in `keep` are left."""

    session: str
    keep: tuple[str, ...]
    recorded: tuple[TunnelRule, ...]


@dataclass(frozen=True)
class RemoveDns:
    """Of the session's records that are ours, only those named in `keep` are left."""

    session: str
    keep: tuple[str, ...]


Effect = EnsureDns | EnsureTunnelRules | EnsureRoutes | VerifyReady | RemoveRoutes | RemoveTunnelRules | RemoveDns
