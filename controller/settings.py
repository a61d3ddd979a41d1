"""The environment, read once and validated whole: `cli` calls `Settings.from_env`, everybody else gets the values.

Names and defaults of the first eleven variables, and of `health_port`, are fixed by existing deployments. All problems
are found in one go, each with the variable's name and what was expected; a value is never repeated (it may be a secret
in the wrong place).
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from cloudflare_ops import ingress, ownership
from fsm.session import MANAGER, Profile

_ZONE_ID = re.compile(r"[0-9a-fA-F]{32}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DNS_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAME = re.compile(_DNS_LABEL)
_DOMAIN = re.compile(rf"{_DNS_LABEL}(\.{_DNS_LABEL})+")
# 12 hex digits and the suffix make one DNS label of at most 63 characters.
_SUFFIX = re.compile(r"-[-a-z0-9]{0,49}[a-z0-9]")
# Kubernetes' selectors: key, !key, key=value, key==value, key!=value, key in (a, b), key notin (a, b).
_LABEL_VALUE = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = rf"({_DNS_LABEL}(\.{_DNS_LABEL})*/)?{_LABEL_VALUE}"
_VALUE = rf" *({_LABEL_VALUE})? *"
_REQUIREMENT = rf" *(! *{_KEY}|{_KEY}( *(==?|!=){_VALUE}| +(not)?in *\({_VALUE}(,{_VALUE})*\))?) *"
_SELECTOR = re.compile(rf"{_REQUIREMENT}(,{_REQUIREMENT})*")
_TOKEN = re.compile(r"[\x21-\x7e]+")


class SettingsError(Exception):
    """The environment cannot be used; `problems` has one line for each variable that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Settings:
    """Everything that can be set; durations are seconds."""

    cf_api_token: str = field(repr=False)
    cf_zone_id: str
    cf_tunnel_id: str
    domain: str
    router_service_url: str
    route_suffix: str
    watch_namespace: str
    pod_label_selector: str
    ingressroute_namespace: str
    oauth2_chain_middleware: str
    router_service_name: str
    health_host: str  # "": all addresses
    health_port: int  # 0: any free port, which is logged
    owner_id: str
    owner_id_previous: tuple[str, ...]
    lease_name: str
    lease_duration: int
    resync_interval: float
    orphan_grace: float
    cf_request_budget: int  # requests per 5 minutes
    cloudflare_base_url: str
    log_format: str  # "auto": human on a terminal, else JSON
    log_level: str
    pod_name: str  # this replica's own Pod, for the lease's identity

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """The settings in `env`; an empty optional variable counts as unset.

        Raises:
            SettingsError: with every problem there is.
        """
        read = _Reader(env)
        settings = cls(**{name: value for part in _PARTS for name, value in part(read).items()})
        if read.problems:
            raise SettingsError(read.problems)
        return settings

    @property
    def profile(self) -> Profile:
        """What these settings say about every session."""
        return Profile(
            domain=self.domain,
            suffix=self.route_suffix,
            service=self.router_service_url,
            tunnel_target=f"{self.cf_tunnel_id}.cfargotunnel.com",
            route_namespace=self.ingressroute_namespace,
            router_service=self.router_service_name,
            middleware=self.oauth2_chain_middleware,
            owner=self.owner_id,
            previous_owners=self.owner_id_previous,
        )

    @property
    def call_limit(self) -> float:
        """The time limit of one Cloudflare call in seconds: always shorter than what a renewed lease has left."""
        return min(10.0, self.lease_duration * 0.6)


_CLOUDFLARE = "https://api.cloudflare.com/client/v4"
_ROUTERS_PODS = "app.kubernetes.io/managed-by=opencode-router"
_DOMAIN_OR_NAME = re.compile(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*")

Check = Callable[[str], str | None]  # what was expected, or None when the text is good


class _Reader:
    """Collects problems instead of stopping at the first."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.problems: list[str] = []

    def required(self, name: str, check: Check) -> str:
        if not self._env.get(name):
            self.problems.append(f"{name}: is not set; expected {check('')}")
            return ""
        return self._checked(name, self._env[name], check)

    def optional(self, name: str, default: str, check: Check) -> str:
        text = self._env.get(name) or ""
        return self._checked(name, text, check) if text else default

    def owner_id(self, namespace: str) -> str:
        """OWNER_ID, or the namespace, which may be longer than an owner id."""
        text, expected = self.optional("OWNER_ID", namespace, _owner), _owner(namespace)
        if not self._env.get("OWNER_ID") and expected is not None:
            told = "is not set, and WATCH_NAMESPACE is too long to stand for it"
            self.problems.append(f"OWNER_ID: {told}; expected {expected}")
        return text

    def hostname(self) -> str:
        return self._env.get("HOSTNAME") or "local"

    def _checked(self, name: str, text: str, check: Check) -> str:
        expected = check(text)
        if expected is not None:
            self.problems.append(f"{name}: is not valid; expected {expected}")
            return "0"
        return text


def _cloudflare(read: _Reader) -> dict[str, Any]:
    return {
        "cf_api_token": read.required("CF_API_TOKEN", _matches(_TOKEN, "a token without spaces or line breaks")),
        "cf_zone_id": read.required("CF_ZONE_ID", _matches(_ZONE_ID, "the zone's id, 32 hex digits")).lower(),
        "cf_tunnel_id": read.required("CF_TUNNEL_ID", _matches(_UUID, "the tunnel's id, a UUID")).lower(),
        "cf_request_budget": int(read.optional("CF_REQUEST_BUDGET", "1000", _number("requests", 20, 1200))),
        "cloudflare_base_url": read.optional("CLOUDFLARE_BASE_URL", _CLOUDFLARE, _base_url).rstrip("/"),
    }


def _names(read: _Reader) -> dict[str, Any]:
    suffix = _matches(_SUFFIX, "a dash and at most 50 of a-z, 0-9 and -, such as -oc")
    return {
        "domain": read.required("DOMAIN", _matches(_DOMAIN, "a lower-case domain such as example.org")),
        "router_service_url": read.required("ROUTER_SERVICE_URL", _service_url),
        "route_suffix": read.optional("ROUTE_SUFFIX", "", suffix),
    }


def _cluster(read: _Reader) -> dict[str, Any]:
    namespace = read.optional("WATCH_NAMESPACE", "opencode-router", _matches(_NAME, "a namespace name"))
    selector = _matches(_SELECTOR, "a label selector such as key=value")
    middleware = _matches(_NAME, "the name of a Traefik middleware")
    return {
        "watch_namespace": namespace,
        "pod_label_selector": read.optional("POD_LABEL_SELECTOR", _ROUTERS_PODS, selector),
        "ingressroute_namespace": read.optional(
            "INGRESSROUTE_NAMESPACE", namespace, _matches(_NAME, "a namespace name")
        ),
        "oauth2_chain_middleware": read.optional("OAUTH2_CHAIN_MIDDLEWARE", "opencode-router-oauth2-chain", middleware),
        "router_service_name": read.optional(
            "ROUTER_SERVICE_NAME", "opencode-router", _matches(_NAME, "the name of a Service")
        ),
        "owner_id": read.owner_id(namespace),
        "owner_id_previous": _split(read.optional("OWNER_ID_PREVIOUS", "", _owners)),
    }


def _process(read: _Reader) -> dict[str, Any]:
    return {
        "health_host": read.optional("HEALTH_HOST", "", _host),
        "health_port": int(read.optional("HEALTH_PORT", "8080", _number("a port", 0, 65535))),
        "lease_name": read.optional("LEASE_NAME", MANAGER, _matches(_NAME, "the name of a Lease")),
        "lease_duration": int(read.optional("LEASE_DURATION", "15", _number("whole seconds", 3, 300))),
        "resync_interval": float(read.optional("RESYNC_INTERVAL", "60", _number("seconds", 1, 3600, whole=False))),
        "orphan_grace": float(read.optional("ORPHAN_GRACE", "120", _number("seconds", 1, 86400, whole=False))),
        "log_format": read.optional("LOG_FORMAT", "auto", _one_of("auto", "json", "human")),
        "log_level": read.optional("LOG_LEVEL", "info", _one_of("debug", "info", "warning", "error")),
        "pod_name": read.optional("POD_NAME", read.hostname(), _matches(_DOMAIN_OR_NAME, "this Pod's name")),
    }


def _matches(pattern: re.Pattern[str], expected: str) -> Check:
    return lambda text: None if pattern.fullmatch(text) else expected


def _one_of(*words: str) -> Check:
    return lambda text: None if text in words else "one of " + ", ".join(words)


def _number(what: str, least: int, most: int, *, whole: bool = True) -> Check:
    expected = f"{what} between {least} and {most}"
    pattern = re.compile(r"[0-9]{1,9}" if whole else r"[0-9]{1,9}(\.[0-9]{1,6})?")
    return lambda text: None if pattern.fullmatch(text) and least <= float(text) <= most else expected


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _owner(text: str) -> str | None:
    try:
        ownership.render(text)
    except ValueError as error:
        return str(error)
    return None


def _owners(text: str) -> str | None:
    bad = next(filter(None, map(_owner, _split(text))), None)
    return f"former OWNER_IDs, separated by commas, each {bad}" if bad else None


def _host(text: str) -> str | None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return None if _DOMAIN_OR_NAME.fullmatch(text.lower()) else "an address to listen on, or a name that has one"
    return None


def _service_url(text: str) -> str | None:
    # Cloudflare refuses a service with any path, even "/", and one refused rule would refuse the whole document.
    expected = "http://host:port or https://host:port, without a path (no / at the end either)"
    return None if _is_origin(text) and ingress.SERVICE.fullmatch(text) else expected


def _base_url(text: str) -> str | None:
    return None if _is_origin(text, path=True) else "an http(s) URL such as https://api.cloudflare.com/client/v4"


def _is_origin(text: str, *, path: bool = False) -> bool:
    try:
        url = urlsplit(text)
        port_is_good = url.port is None or url.port > 0
    except ValueError:
        return False
    bare = not (url.query or url.fragment or url.username or "\\" in text) and text.isascii() and " " not in text
    return bare and port_is_good and url.scheme in ("http", "https") and bool(url.hostname) and (path or not url.path)


# In the order in which problems are told.
_PARTS = (_cloudflare, _names, _cluster, _process)
