"""The pure edit of the tunnel's ingress document: plain dicts in and out. `tunnel` is the caller.

cloudflared takes the first rule that matches, so our exact rules stand before the first rule whose host pattern would
catch them: `*.domain`, a rule without a hostname, the catch-all. Rules that are not ours, their order and every field
that nobody told us about stay as they are.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from typing import Any

from fsm.desired import TunnelRule
from fsm.errors import ConflictError
from fsm.observation import Status
from fsm.session import hash_of_hostname

Rule = Mapping[str, Any]
CATCH_ALL = {"service": "http_status:404"}
CONFLICT = "RuleConflict"

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
# What cloudflared takes as an origin that is a URL: no path, not even a slash.
SERVICE = re.compile(r"[a-z][a-z0-9+.-]*://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


def is_valid(rule: TunnelRule) -> bool:
    """Whether Cloudflare would take the rule: one bad rule has the whole document refused."""
    return _HOSTNAME.fullmatch(rule.hostname) is not None and SERVICE.fullmatch(rule.service) is not None


def is_readable(config: object) -> bool:
    """Whether this part of a reply is a document whose rules can be told apart; a tunnel may have none yet."""
    match config:
        case None | {"ingress": None}:
            return True
        case {"ingress": list(rules)}:
            return all(isinstance(rule, dict) for rule in rules)
    return isinstance(config, dict) and "ingress" not in config


def plain(rule: Rule) -> TunnelRule | None:
    """The rule, if it is {hostname, service} and nothing else (empty fields count as none); None otherwise."""
    host, service = rule.get("hostname"), rule.get("service")
    others = any(value for key, value in rule.items() if key not in ("hostname", "service"))
    if others or not isinstance(host, str) or not isinstance(service, str) or not host:
        return None
    return TunnelRule(host, service)


def catches(pattern: object, hostname: str) -> bool:
    """Whether a rule with this hostname pattern would catch requests for `hostname` without naming it."""
    if pattern in (None, "", "*"):
        return True
    return isinstance(pattern, str) and pattern.startswith("*.") and hostname.endswith(pattern[1:])


class Ingress:
    """A document's rules with what is asked of them all the time; `config` is None for a tunnel without one."""

    def __init__(self, config: Mapping[str, Any] | None) -> None:
        self.config: Mapping[str, Any] = config or {}
        self.rules: Sequence[Rule] = tuple(self.config.get("ingress") or ())
        self._at: dict[str, list[int]] = {}
        self._wide: list[tuple[int, object]] = []
        for place, rule in enumerate(self.rules):
            host = rule.get("hostname")
            if isinstance(host, str) and host and "*" not in host:
                self._at.setdefault(host, []).append(place)
            else:
                self._wide.append((place, host))

    def at(self, hostname: str) -> list[Rule]:
        """The rules that name `hostname`, in their order."""
        return [self.rules[place] for place in self._at.get(hostname, ())]

    def plain_by_session(self) -> dict[str, list[TunnelRule]]:
        """The plain rules of session-shaped hostnames, by hash."""
        found: dict[str, list[TunnelRule]] = {}
        for hostname in self._at:
            if session := hash_of_hostname(hostname):
                found.setdefault(session, []).extend(filter(None, map(plain, self.at(hostname))))
        return found

    def status(self, wanted: TunnelRule, recorded: Collection[TunnelRule]) -> Status:
        """What is seen of a wanted rule; `recorded` are rules that we wrote, whatever their service."""
        rules = [plain(rule) for rule in self.at(wanted.hostname)]
        if any(rule != wanted and rule not in recorded for rule in rules):
            return Status.FOREIGN
        return Status.PRESENT if set(rules) == {wanted} and self.is_in_place(wanted) else Status.MISSING

    def conflict(self, wanted: TunnelRule) -> ConflictError:
        """The error for a rule whose status is FOREIGN."""
        text = f"the tunnel has another rule for {wanted.hostname} that is not this operator's"
        return ConflictError(CONFLICT, text, "delete that rule, and the session goes on by itself")

    def place_for(self, hostname: str) -> int:
        """Where a rule for `hostname` goes: before the first that would catch it, at the end if none would."""
        return next((place for place, pattern in self._wide if catches(pattern, hostname)), len(self.rules))

    def is_in_place(self, wanted: TunnelRule) -> bool:
        """Whether the plain rule exists where no wider one comes first."""
        limit = self.place_for(wanted.hostname)
        return any(place < limit and plain(self.rules[place]) == wanted for place in self._at.get(wanted.hostname, ()))


def edit(config: Mapping[str, Any] | None, *, add: Iterable[TunnelRule], drop: Set[TunnelRule]) -> dict[str, Any]:
    """The document with the rules of `add` in place and without the plain rules of `drop`.

    An added rule that stands where it is never reached is moved. The result equals `config` when nothing is to do, and
    depends on no order of the arguments. An empty document gets the catch-all that Cloudflare demands.
    """
    before = Ingress(config)
    new = {rule for rule in add if not before.is_in_place(rule)}
    kept = [rule for rule in before.rules if plain(rule) not in new | drop]
    if not new and len(kept) == len(before.rules):
        return dict(before.config)
    after = Ingress({"ingress": kept or [CATCH_ALL]})
    placed: dict[int, list[Rule]] = {}
    for rule in sorted(new, key=lambda rule: (rule.hostname, rule.service)):
        written = {"hostname": rule.hostname, "service": rule.service}
        placed.setdefault(after.place_for(rule.hostname), []).append(written)
    ingress = [rule for place, old in enumerate(after.rules) for rule in (*placed.get(place, ()), old)]
    return {**before.config, "ingress": [*ingress, *placed.get(len(after.rules), ())]}
