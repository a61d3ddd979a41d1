"""The four things that happen to a session, each with the replica that does them: what is recorded, and cut.

`cuts.py` plays them. Each begins with a leader and a standby, and with evidence in the leader that is too old to be
used again: what is asked does then not depend on what was asked a moment before.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import ClassVar

from cloudflare_ops import dns, tunnel
from tests.cluster.cutpoints.ground import Ground, Replica
from tests.cluster.cutpoints.kinds import Kind, belongs

STALE = max(dns.MAX_AGE, tunnel.MAX_AGE) + 0.1  # seconds after which every look is too old for a write


class Phase(ABC):
    """One of the four; `name` is what people call it."""

    name: ClassVar[str]

    @abstractmethod
    async def prepare(self, ground: Ground, session: str) -> Replica:
        """Bring the world to the point before it; the replica whose requests count."""

    @abstractmethod
    async def happen(self, ground: Ground, session: str) -> None:
        """Set it off."""

    @abstractmethod
    async def done(self, ground: Ground, session: str) -> None:
        """Return when it has come to its end."""

    def counts(self, kind: Kind) -> bool:
        """Whether a request of this kind belongs to it."""
        return belongs(kind)


class TakeOver(Phase):
    """The leader hands over, and the next one looks at a world in which all is well."""

    name = "Taking over"

    async def prepare(self, ground: Ground, session: str) -> Replica:
        await ground.create(session)
        await ground.ready(session)
        # A new one, which has not seen the sessions before this one go: it would ask about them.
        for standby in ground.replicas[1:]:
            standby.kill()
        del ground.replicas[1:]
        return await ground.start()

    async def happen(self, ground: Ground, session: str) -> None:
        leader = ground.replicas.pop(0)
        await asyncio.to_thread(leader.operator.program.terminate)

    async def done(self, ground: Ground, session: str) -> None:
        await (await ground.heir()).is_quiet()


class Journey(Phase):
    """A Pod appears, and its session gets Ready."""

    name = "A session's Pod appears"

    async def prepare(self, ground: Ground, session: str) -> Replica:
        await asyncio.sleep(STALE)
        return ground.replicas[0]

    async def happen(self, ground: Ground, session: str) -> None:
        await ground.create(session)

    async def done(self, ground: Ground, session: str) -> None:
        await ground.ready(session)


class Teardown(Phase):
    """The Pod is deleted and goes slowly, as on a node: its record shows what happens."""

    name = "A session's Pod is deleted"

    async def prepare(self, ground: Ground, session: str) -> Replica:
        await ground.create(session)
        await ground.ready(session)
        await asyncio.sleep(STALE)
        return ground.replicas[0]

    async def happen(self, ground: Ground, session: str) -> None:
        await ground.delete(session)

    async def done(self, ground: Ground, session: str) -> None:
        await ground.clean()


class Loss(Teardown):
    """The Pod is gone at once, and its record with it: all that is left is what both replicas saw."""

    name = "A session's Pod is gone at once"

    async def happen(self, ground: Ground, session: str) -> None:
        await ground.end(session)

    def counts(self, kind: Kind) -> bool:
        # The server shows the Pod going and gone in one breath. Whether its record is still tried is a race.
        return belongs(kind) and not kind.path.endswith("/status")


PHASES: tuple[Phase, ...] = (TakeOver(), Journey(), Teardown(), Loss())
