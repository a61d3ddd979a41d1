"""What a session should look like outside, as data: the one place that knows.

`controller` asks for it with the session's hash and the profile; `cloudflare_ops` and `k8s` turn the answer into
calls. It speaks in the plural: sessions with several hostnames, or with none of their own under a wildcard, are a
change of this file and of its settings alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fsm.session import HASH_LABEL, MANAGED_BY_LABEL, MANAGER, OWNER_LABEL, Profile, hostname

ROUTE_API = "traefik.io/v1alpha1"
SIGN_IN_SERVICE = {"name": "oauth2-proxy-users", "namespace": "oauth2-proxy", "port": 80}


@dataclass(frozen=True)
class DnsRecord:
    """A proxied CNAME with automatic TTL."""

    name: str
    content: str


@dataclass(frozen=True)
class TunnelRule:
    """An ingress rule {hostname, service} without path or options."""

    hostname: str
    service: str


@dataclass(frozen=True)
class Route:
    """An IngressRoute; `manifest` is the whole object that is applied (its fields are exactly those we own)."""

    name: str
    namespace: str
    manifest: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True)
class Desired:
    """Everything that one session should have; `hostname` is the one that is shown to people."""

    hostname: str
    records: tuple[DnsRecord, ...]
    rules: tuple[TunnelRule, ...]
    routes: tuple[Route, ...]


def desired(session: str, profile: Profile) -> Desired:
    """The records, rules and routes of the session with this hash."""
    host = hostname(session, profile)
    return Desired(
        hostname=host,
        records=(DnsRecord(host, profile.tunnel_target),),
        rules=(TunnelRule(host, profile.service),),
        routes=(_sign_in(session, host, profile), _app(session, host, profile)),
    )


def _sign_in(session: str, host: str, profile: Profile) -> Route:
    rule = {"kind": "Rule", "match": f"Host(`{host}`) && PathPrefix(`/oauth2/`)", "services": [dict(SIGN_IN_SERVICE)]}
    return _route("signin", rule, session, profile)


def _app(session: str, host: str, profile: Profile) -> Route:
    here = {"namespace": profile.route_namespace}
    rule = {
        "kind": "Rule",
        "match": f"Host(`{host}`)",
        "priority": 1,
        "middlewares": [{"name": profile.middleware, **here}],
        "services": [{"name": profile.router_service, **here, "port": 80}],
    }
    return _route("app", rule, session, profile)


def _route(part: str, rule: Mapping[str, Any], session: str, profile: Profile) -> Route:
    name = f"opencode-session-{session}{profile.suffix}-{part}"
    labels = {MANAGED_BY_LABEL: MANAGER, OWNER_LABEL: profile.owner, HASH_LABEL: session}
    manifest = {
        "apiVersion": ROUTE_API,
        "kind": "IngressRoute",
        "metadata": {"name": name, "namespace": profile.route_namespace, "labels": labels},
        "spec": {"entryPoints": ["web"], "routes": [rule]},
    }
    return Route(name, profile.route_namespace, manifest)
