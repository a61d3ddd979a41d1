"""What the controller needs of the two worlds: the seams that `k8s` and `cloudflare_ops` fill and tests replace.

All times are seconds on one monotonic clock that counts suspended time. Every `async` method raises the errors of
`fsm.errors` and nothing else (and lets cancellation pass). `look(since)` returns once a look that began at or after
`since` is in the cache; callers share looks. `sight` answers from the cache, at once.
"""

from collections.abc import Collection, Mapping, Set
from typing import Protocol

from fsm.desired import DnsRecord, Route, TunnelRule
from fsm.observation import PodFacts, Sight


class Leadership(Protocol):
    """How long this replica may still write."""

    def remaining(self) -> float:
        """Seconds left on the lease, from the moment the last successful renewal was sent; 0: do not write."""
        ...


class Living(Protocol):
    """The proof before a removal."""

    async def __call__(self, sessions: Collection[str], within: float) -> Mapping[str, bool]:
        """Whether they have a live Pod, read live from the API server by the hash label alone: of as many of them, the
        first ones first, as `within` seconds allow.

        Raises:
            SessionError: it can tell of none.
        """
        ...


class Pods(Protocol):
    """The cache of session Pods and the writer of their record."""

    def of(self, session: str) -> tuple[PodFacts, ...]:
        """Every Pod of this hash that exists, also those that are going."""
        ...

    def sessions(self) -> Set[str]:
        """The hashes that have a Pod."""
        ...

    async def write(self, pod: PodFacts, texts: Mapping[str, str], keys: Collection[str]) -> PodFacts:
        """Compare-and-set: make the annotations in `keys` exactly `texts`, if they are still what `pod` says.

        Raises:
            StaleError: they are not (or it is another Pod now); the cache holds what is there.
            GoneError: the Pod is gone.
        """
        ...


class Dns(Protocol):
    """The zone's records."""

    def sight(self, session: str, wanted: tuple[DnsRecord, ...]) -> Sight:
        """What was last seen of `wanted`, and of everything else that is ours of this session."""
        ...

    def sessions(self) -> Set[str]:
        """The hashes of which a record of ours was seen."""
        ...

    async def look(self, since: float) -> None: ...

    async def ensure(self, records: tuple[DnsRecord, ...], since: float) -> None:
        """Make the records exist and carry our mark; evidence older than `since` is not enough."""
        ...

    async def remove(self, session: str, keep: tuple[str, ...]) -> None:
        """Remove what is ours of this session, but for the names in `keep`.

        With an empty `keep` the hash must have no live Pod when the batch is composed.

        Raises:
            StaleError: it has one; nothing was removed.
        """
        ...


class Tunnel(Protocol):
    """The tunnel's ingress rules; the same promises as `Dns`. `recorded` are rules that the record says we wrote."""

    def sight(self, session: str, wanted: tuple[TunnelRule, ...], recorded: tuple[TunnelRule, ...]) -> Sight: ...

    def sessions(self) -> Set[str]: ...

    async def look(self, since: float) -> None: ...

    async def ensure(self, rules: tuple[TunnelRule, ...], recorded: tuple[TunnelRule, ...], since: float) -> None: ...

    async def remove(self, session: str, keep: tuple[str, ...], recorded: tuple[TunnelRule, ...]) -> None: ...


class Routes(Protocol):
    """The IngressRoutes; the same promises as `Dns`."""

    def sight(self, session: str, wanted: tuple[Route, ...]) -> Sight: ...

    def sessions(self) -> Set[str]: ...

    async def look(self, since: float) -> None: ...

    async def settle(self) -> None:
        """Look, if the outcome of a write is not known."""
        ...

    async def ensure(self, routes: tuple[Route, ...], since: float) -> None: ...

    async def remove(self, session: str, keep: tuple[str, ...]) -> None: ...


class Events(Protocol):
    """Kubernetes Events about a Pod: best effort, never raises."""

    async def post(self, pod: PodFacts, *, reason: str, note: str, warning: bool) -> bool:
        """Whether it arrived."""
        ...
