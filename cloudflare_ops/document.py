"""The tunnel's configuration as one reply shows it, and what a reply must show to be one: for `tunnel`. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudflare_ops import errors
from cloudflare_ops.ingress import Ingress, is_readable
from fsm.desired import TunnelRule
from fsm.errors import TransientError


@dataclass(frozen=True)
class Document:
    """As read, or as a write's reply shows it; `began` when the request was sent, `ended` when the reply was there."""

    ingress: Ingress
    version: int | None
    began: float
    ended: float
    by_session: Mapping[str, Sequence[TunnelRule]]

    @property
    def rules(self) -> set[TunnelRule]:
        """The plain rules of session-shaped hostnames."""
        return {rule for rules in self.by_session.values() for rule in rules}


def of_reply(reply: Mapping[str, Any], began: float, ended: float) -> Document:
    """The document in an accepted reply."""
    result = reply["result"]
    ingress = Ingress(result.get("config"))
    version = result.get("version")
    by_session = ingress.plain_by_session()
    return Document(ingress, version if isinstance(version, int) else None, began, ended, by_session)


def accept_read(reply: Mapping[str, Any]) -> None:
    """Raises SessionError for a reply to a read that shows no document."""
    match reply:
        case {"result": {"source": "local"}}:
            raise errors.shared("TunnelLocallyManaged")
        case {"result": {"config": config}} if is_readable(config):
            return
    raise TransientError("CloudflareError", "the reply does not show the tunnel's configuration")


def accept_written(reply: Mapping[str, Any]) -> None:
    """Raises OutcomeUnknownError for a reply to a write that shows no document."""
    match reply:
        case {"result": {"config": {"ingress": list()} as config}} if is_readable(config):
            return
    raise errors.OutcomeUnknownError("CloudflareError", "the reply to a write does not show the tunnel's configuration")
