"""What is wrong right now, with remedy: filled by whoever meets trouble, read by `/healthz` and the metrics.

A problem has a topic ("cloudflare", "watch pods", "sweep"); telling the same topic again replaces it, `clear` ends it.
Each change is logged once, so that a problem that lasts does not fill the log.
"""

import logging

_log = logging.getLogger(__name__)


class Problems:
    """The open problems by topic."""

    def __init__(self) -> None:
        self._open: dict[str, str] = {}

    def tell(self, topic: str, text: str) -> None:
        """Open (or replace) the problem of `topic`."""
        if self._open.get(topic) != text:
            self._open[topic] = text
            _log.warning("problem: %s", text, extra={"topic": topic})

    def clear(self, topic: str) -> None:
        """End the problem of `topic`, if there is one."""
        if self._open.pop(topic, None) is not None:
            _log.info("problem solved", extra={"topic": topic})

    def clear_all(self) -> None:
        """End all of them: what only a leader knows is no news of a replica that does not lead any more."""
        for topic in list(self._open):
            self.clear(topic)

    def report(self) -> dict[str, str]:
        """Topic -> text with remedy."""
        return dict(self._open)
