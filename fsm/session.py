"""A session's identity: its hash, and the names derived from it.

Called by everything that turns a label, a hostname or a route's name into a session, or back.
"""

import re
from dataclasses import dataclass

HASH_LABEL = "opencode.ai/session-hash"
PREFIX = "cloudflare.opencode.ai/"
OWNER_LABEL = PREFIX + "owner"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGER = "opencode-cloudflare-operator"

_HASH = re.compile(r"[0-9a-f]{12}")
# The hash, then nothing or a suffix that begins with a dash: the first label of a session's hostname. Lenient in the
# suffix, so that objects of a suffix that is not used any more are still recognised.
_SHAPE = re.compile(r"([0-9a-f]{12})(-[a-z0-9-]+)?")
_ROUTE = re.compile(r"opencode-session-([0-9a-f]{12})(-[a-z0-9-]+)?-(signin|app)")


def is_hash(text: str) -> bool:
    """Whether `text` is a session hash: 12 lower-case hex digits."""
    return _HASH.fullmatch(text) is not None


def hash_of_hostname(hostname: str) -> str | None:
    """The hash in a hostname of a session's shape, whatever its suffix and domain; None for any other name."""
    label, _, domain = hostname.partition(".")
    match = _SHAPE.fullmatch(label)
    return match[1] if match and domain else None


def hash_of_route(name: str) -> str | None:
    """The hash in an IngressRoute name of a session's shape; None for any other name."""
    match = _ROUTE.fullmatch(name)
    return match[1] if match else None


@dataclass(frozen=True)
class Profile:
    """What the settings say about every session: where its names live and what they point at."""

    domain: str  # "no-panic.org"
    suffix: str  # "-oc"
    service: str  # the tunnel rule's target, "http://opencode-router....:80"
    tunnel_target: str  # "<tunnel-id>.cfargotunnel.com"
    route_namespace: str  # where the IngressRoutes live
    router_service: str  # the router's Service, in route_namespace
    middleware: str  # the OAuth2 chain, in route_namespace
    owner: str  # OWNER_ID
    previous_owners: tuple[str, ...] = ()  # OWNER_ID_PREVIOUS: count as ours and are re-marked


def hostname(session: str, profile: Profile) -> str:
    """The public hostname of the session with this hash."""
    return f"{session}{profile.suffix}.{profile.domain}"
