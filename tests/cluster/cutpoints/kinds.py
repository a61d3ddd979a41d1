"""What a request is, without the ids in it: the names of the cut points. Pure.

Not every request of a leader belongs to a session's journey. `belongs` leaves out:

- watches: they run all the time on the leader and on the standby, have no effect, and every kill breaks them anyway;
- renewals of the lease: by the clock, not by anything that happens (taking it over is kept: `take_over`);
- the count of a repeated Event (PATCH): only there when news is repeated, which an undisturbed run does not do.
"""

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

_IDS = (
    (r"opencode-session-[0-9a-f]{12}\.[0-9a-f]{16}$", "{event}"),
    (r"(opencode-session-)[0-9a-f]{12}", r"\1{hash}"),
    (r"(?<=/)([0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})(?=/|$)", "{id}"),
    (r"(?<=/namespaces/)[^/]+", "{namespace}"),
)


class Kind(NamedTuple):
    """A request, told as people know it: `Cloudflare PUT /accounts/{id}/…`. `says` is the state that it writes."""

    server: str
    method: str
    path: str
    says: str = ""

    def __str__(self) -> str:
        return f"{self.server} {self.method} {self.path}" + (f" ({self.says})" if self.says else "")

    @property
    def is_write(self) -> bool:
        """Whether it is there for its effect."""
        return self.method != "GET"


def kind_of(server: str, method: str, path: str, body: bytes) -> Kind:
    """The kind of a request to `server`."""
    for pattern, instead in _IDS:
        path = re.sub(pattern, instead, path)
    return Kind(server, method, path.removeprefix("/client/v4"), _state(body) if path.endswith("/status") else "")


def is_watch(query: Mapping[str, str]) -> bool:
    """Whether a request with this query is answered by a stream that does not end."""
    return "watch" in query


def belongs(kind: Kind) -> bool:
    """Whether a request of the leader is part of what happens to a session."""
    return not (is_of_lease(kind) or (kind.method == "PATCH" and "/events/" in kind.path))


def is_of_lease(kind: Kind) -> bool:
    """Whether it reads, takes or keeps the lease."""
    return "/leases" in kind.path


def _state(body: bytes) -> str:
    """The state that a patch of a Pod's annotations writes."""
    values = {str(each.get("path")): each.get("value") for each in json.loads(body) if each.get("op") != "test"}
    found = next((value for path, value in values.items() if path.endswith("cloudflare.opencode.ai~1state")), None)
    return str(found or "")
