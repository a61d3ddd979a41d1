"""The Lease in the API server: read, create, replace; and a note on it for whoever leads.

`k8s.elector` holds leadership with it. The `sweep` command asks the leader by a note (an annotation) and reads the
answer there, so that it needs no other way into the process that leads.
"""

from collections.abc import Mapping

from fsm.errors import GoneError, StaleError
from k8s import lease
from k8s.client import Kube, Object
from k8s.lease import LeaseFacts

_TRIES = 5  # the holder writes every two seconds: a note hardly ever loses twice


class LeaseStore:
    """One Lease by name. All methods raise `fsm.errors`."""

    def __init__(self, kube: Kube, *, namespace: str, name: str) -> None:
        self._kube = kube
        self._all = f"/apis/{lease.API}/namespaces/{namespace}/leases"
        self._path = f"{self._all}/{name}"
        self.namespace = namespace
        self.name = name

    async def read(self, timeout: float = 10.0) -> Object | None:
        """The Lease object; None when there is none."""
        try:
            return await self._kube.request("GET", self._path, timeout=timeout)
        except GoneError:
            return None

    async def create(self, body: Object, timeout: float = 10.0) -> Object:
        """Raises StaleError when somebody else was faster."""
        return await self._kube.request("POST", self._all, body=body, timeout=timeout)

    async def replace(self, body: Object, timeout: float = 10.0) -> Object:
        """Raises StaleError when the Lease is not the version in `body` any more."""
        return await self._kube.request("PUT", self._path, body=body, timeout=timeout)

    async def facts(self) -> LeaseFacts:
        """What the Lease says now; that nobody holds it when there is none."""
        found = await self.read()
        return lease.read(found) if found else LeaseFacts()

    async def annotate(self, notes: Mapping[str, str | None]) -> None:
        """Set these annotations (None: remove), whoever holds the Lease.

        Raises:
            GoneError: there is no Lease: nobody has ever led.
            StaleError: somebody else was faster, every time.
        """
        for _ in range(_TRIES):
            found = await self.read()
            if found is None:
                raise GoneError("ObjectGone", "the lease does not exist")
            try:
                await self.replace(lease.annotated(found, notes))
            except StaleError as error:
                last = error
            else:
                return
        raise last
