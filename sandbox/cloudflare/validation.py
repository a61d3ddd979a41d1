"""What Cloudflare and cloudflared refuse: records (1004 with its chain) and ingress documents (1056). Pure."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sandbox.cloudflare.envelope import Json, RefusedError

TYPES = frozenset({"A", "AAAA", "CNAME", "TXT", "MX", "NS", "SRV", "CAA"})
_LABEL = r"[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
# Only the leftmost label, and only as a whole, may be a wildcard.
_NAME = re.compile(rf"(\*\.)?{_HOST.pattern}")
_TAG = re.compile(r"[A-Za-z0-9_-]{1,32}(:.{0,100})?")
_SPECIAL = frozenset({"hello_world", "hello-world", "bastion", "socks-proxy"})
# What Python's regular expressions know and Go's do not: lookaround, back references, atomic and possessive groups.
_NOT_GO = re.compile(r"\(\?(?:[=!>(#]|<[=!]|P=)|\\[1-9]|[*+?}]\+")


@dataclass(frozen=True)
class Plan:
    """What a plan allows: records in a zone, operations in a batch, characters of a comment, tags of a record.

    `ttl` is the shortest in seconds.
    """

    name: str
    records: int
    batch: int
    comment: int
    tags: int
    ttl: int = 60


PLANS = {
    plan.name: plan
    for plan in (
        Plan("free", 200, 200, 100, 0),
        Plan("pro", 3500, 3500, 500, 20),
        Plan("business", 3500, 3500, 500, 20),
        Plan("enterprise", 3500, 3500, 500, 20, ttl=30),
    )
}


def _invalid(code: int, message: str) -> RefusedError:
    return RefusedError(400, 1004, "DNS Validation Error", chain=((code, message),))


def check_record(record: Json, zone: str, plan: Plan) -> None:
    """Raises RefusedError (400, 1004) for a record that the API does not take."""
    name, kind = record.get("name"), record.get("type")
    if kind not in TYPES:
        raise _invalid(9004, f"DNS record type {kind!r} is invalid.")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > 255:
        raise _invalid(9000, "DNS name is invalid.")
    if name != zone and not name.endswith("." + zone):
        raise _invalid(9000, "DNS name is invalid.")
    _check_content(kind, record.get("content"))
    if not isinstance(record.get("proxied"), bool):
        raise _invalid(9003, "Invalid 'proxied' value, must be a boolean.")
    _check_ttl(record.get("ttl"), plan)
    _check_comment(record.get("comment"), plan)
    _check_tags(record.get("tags"), plan)


def _check_content(kind: str, content: Any) -> None:
    if not isinstance(content, str) or not content:
        raise _invalid(9005, f"Content for {kind} record is invalid.")
    if kind == "CNAME" and not _HOST.fullmatch(content.lower()):
        raise _invalid(9007, "Content for CNAME record is invalid.")
    if kind == "A" and not re.fullmatch(r"(\d{1,3}\.){3}\d{1,3}", content):
        raise _invalid(9005, "Content for A record must be a valid IPv4 address.")


def _check_ttl(ttl: Any, plan: Plan) -> None:
    if type(ttl) is not int or not (ttl == 1 or plan.ttl <= ttl <= 86400):
        raise _invalid(9021, f"Invalid TTL. Must be between {plan.ttl} and 86400 seconds, or 1 for Automatic.")


def _check_comment(comment: Any, plan: Plan) -> None:
    if comment is None:
        return
    if not isinstance(comment, str) or not all(map(_is_graphic, comment)):
        raise _invalid(9206, "Comment is invalid.")
    if len(comment) > plan.comment:
        raise _invalid(9206, f"Comment is too long, at most {plan.comment} characters are allowed.")


def _is_graphic(letter: str) -> bool:
    category = unicodedata.category(letter)
    return category[0] in "LMNPS" or category == "Zs"


def _check_tags(tags: Any, plan: Plan) -> None:
    if not tags:
        return
    if not isinstance(tags, list):
        raise _invalid(9301, "Tags are invalid.")
    if len(tags) > plan.tags:
        raise _invalid(9300, f"DNS record has {len(tags)} tags, exceeding the quota of {plan.tags}.")
    if not all(isinstance(tag, str) and _TAG.fullmatch(tag) for tag in tags):
        raise _invalid(9301, "Tag is invalid.")


def check_ingress(config: Any) -> None:
    """Raises RefusedError (400, 1056) for a document that cloudflared's own validator refuses."""
    rules = config.get("ingress") if isinstance(config, dict) else None
    if not isinstance(rules, list) or not rules:
        raise _bad("The config file doesn't contain any ingress rules")
    for number, rule in enumerate(rules):
        _check_rule(rule, number, is_last=number == len(rules) - 1)


def _bad(message: str) -> RefusedError:
    return RefusedError(400, 1056, f"Bad Configuration: Validation failed: {message}")


def _check_rule(rule: Any, number: int, *, is_last: bool) -> None:
    if not isinstance(rule, dict):
        raise _bad(f"Rule #{number + 1} is invalid")
    host, path = rule.get("hostname") or "", rule.get("path") or ""
    _check_service(rule.get("service"))
    _check_hostname(host)
    if path:
        _check_path(path, number)
    matches_all = host in ("", "*") and not path
    if is_last and not matches_all:
        text = "The last ingress rule must match all URLs (i.e. it should not have a hostname or path filter)"
        raise _bad(text)
    if matches_all and not is_last:
        text = f"Rule #{number + 1} is matching the hostname '{host}', but this will match every hostname"
        raise _bad(f"{text}, meaning the rules which follow it will never be triggered.")


def _check_service(service: Any) -> None:
    if not isinstance(service, str) or not service:
        raise _bad("The service is missing")
    if service.startswith("http_status:"):
        code = service.partition(":")[2]
        if not code.isdecimal() or not 100 <= int(code) <= 999:
            raise _bad(f"invalid HTTP status code: {code}")
        return
    if service in _SPECIAL or service.startswith(("unix:", "unix+tls:")):
        return
    url = _split(service)
    if url is None or not url.scheme or not url.hostname:
        raise _bad(f"{service} is an invalid address, please make sure it has a scheme and a hostname")
    if url.path:
        text = f"{service} is an invalid address, ingress rules don't support proxying to a different path"
        raise _bad(f"{text} on the origin service. The path will be the same as the eyeball request's path")


def _split(service: str) -> Any:
    try:
        url = urlsplit(service)
        _ = url.port
    except ValueError:
        return None
    return None if " " in service else url


def _check_hostname(host: Any) -> None:
    if not isinstance(host, str):
        raise _bad("Hostname is invalid")
    if ":" in host:
        raise _bad("Hostname cannot contain a port")
    if "*" in host[1:] or (host.startswith("*") and host != "*" and not host.startswith("*.")):
        text = 'Hostname patterns can have at most one wildcard character ("*") and it can only be used for subdomains'
        raise _bad(f'{text}, e.g. "*.example.com"')


def _check_path(path: Any, number: int) -> None:
    if not isinstance(path, str) or _NOT_GO.search(path):
        raise _bad(f"Rule #{number + 1} has an invalid regex: {path}")
    try:
        re.compile(path)
    except re.error as error:
        raise _bad(f"Rule #{number + 1} has an invalid regex: {error}") from error
