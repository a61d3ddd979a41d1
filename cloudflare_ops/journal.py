"""One log line for each write that Cloudflare has carried out: `dns` and `tunnel` call it with what the reply shows.

The API keeps no history of the zone's records or of the tunnel's document, which others write, too: who wants to know
later what this operator did there finds it nowhere else.
"""

import logging
from collections.abc import Iterable

from fsm.desired import TunnelRule

_log = logging.getLogger(__name__)


def tell_records(kind: str, names: Iterable[str]) -> None:
    """A batch of this kind ("deletes", "patches", "posts")."""
    _log.info("DNS records written", extra={"kind": kind, "names": sorted(names)})


def tell_document(versions: tuple[int | None, int | None], before: set[TunnelRule], after: set[TunnelRule]) -> None:
    """The tunnel's document: the versions that were read and written, and the sessions' rules in either."""
    read, written = versions
    _log.info(
        "tunnel configuration written",
        extra={"read": read, "version": written, "added": _told(after - before), "removed": _told(before - after)},
    )


def _told(rules: Iterable[TunnelRule]) -> list[str]:
    return sorted(f"{rule.hostname} -> {rule.service}" for rule in rules)
