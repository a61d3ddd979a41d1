"""One log line for each write that Cloudflare carried out, or may have: `dns` and `tunnel` tell what they sent.

The API keeps no history of the zone's records or of the tunnel's document, which others write, too: who wants to know
later what this operator did there finds it nowhere else.
"""

import logging
from collections.abc import Iterable

from cloudflare_ops.document import Document
from fsm.desired import TunnelRule

_log = logging.getLogger(__name__)


def tell_records(kind: str, names: Iterable[str], *, is_doubtful: bool = False) -> None:
    """A batch of this kind ("deletes", "patches", "posts")."""
    _log.info("DNS records written%s", _doubt(is_doubtful=is_doubtful), extra={"kind": kind, "names": sorted(names)})


def tell_document(read: Document, written: Document, *, is_doubtful: bool = False) -> None:
    """The tunnel's document: what was read and what stands there now, with their versions as far as they are known."""
    added, removed = written.rules - read.rules, read.rules - written.rules
    told = {"read": read.version, "version": written.version, "added": _told(added), "removed": _told(removed)}
    _log.info("tunnel configuration written%s", _doubt(is_doubtful=is_doubtful), extra=told)


def _doubt(*, is_doubtful: bool) -> str:
    return ", or not: no useful reply" if is_doubtful else ""


def _told(rules: Iterable[TunnelRule]) -> list[str]:
    return sorted(f"{rule.hostname} -> {rule.service}" for rule in rules)
