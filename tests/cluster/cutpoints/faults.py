"""What goes wrong each second in the chaos (`test_chaos.py`): each fault is undone when its coroutine returns."""

import asyncio
import random
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from tests.cluster.cutpoints.ground import CLOUDFLARE, KUBERNETES, Ground, Replica, until

Fault = Callable[[], Coroutine[Any, Any, None]]
SHORT, LONG = 0.5, 5.0  # seconds: well within the lease, and beyond it


class Faults:
    """Whom it meets is up to `rng`. What one fault does, another may end early: nobody minds."""

    def __init__(self, ground: Ground, rng: random.Random) -> None:
        self._ground = ground
        self._rng = rng
        self._servers = asyncio.Lock()  # one thing at a time: a server that is down cannot hang

    def all(self) -> tuple[Fault, ...]:
        """Every fault; the ones that meet a replica twice, as there are two."""
        return (self.kill, self.drain, self.kill, self.drain, *self._of_ways(), *self.survived())

    def survived(self) -> tuple[Fault, ...]:
        """Those after which the same processes run, which know what they have seen (and may have missed)."""
        of_servers = (self.lose_answers, self.fail, self.hang_apiserver, self.restart_apiserver, self.restart_etcd)
        return (*self._of_ways(), *of_servers)

    def _of_ways(self) -> tuple[Fault, ...]:
        return (self.pause, self.leave_kubernetes, self.leave_cloudflare)

    async def end(self) -> None:
        """Nothing is wrong any more, and two replicas run."""
        for replica in self._ground.replicas:
            replica.send(signal.SIGCONT)
            for relay in replica.relays.values():
                relay.heal()
        self._ground.site.cloudflare.break_with()
        while len(self._ground.replicas) < 2:
            await self._ground.spawn()

    async def kill(self) -> None:
        """`kill -9`; the kubelet starts it again."""
        (await self._taken_out()).kill()
        await self._ground.spawn()

    async def drain(self) -> None:
        """SIGTERM, as a rolling update or `kubectl drain` sends it, while another one starts."""
        leaving = await self._taken_out()
        leaving.send(signal.SIGCONT)
        await asyncio.gather(asyncio.to_thread(leaving.operator.program.terminate), self._ground.spawn())

    async def pause(self) -> None:
        """SIGSTOP, then SIGCONT."""
        replica = await self._somebody()
        replica.send(signal.SIGSTOP)
        await self._a_while()
        if replica in self._ground.replicas:
            replica.send(signal.SIGCONT)

    async def leave_kubernetes(self) -> None:
        """A partition between one replica and the API server."""
        await self._stall(KUBERNETES)

    async def leave_cloudflare(self) -> None:
        """A partition between one replica and Cloudflare."""
        await self._stall(CLOUDFLARE)

    async def lose_answers(self) -> None:
        """Cloudflare closes connections, before or after the effect."""
        self._ground.site.cloudflare.break_with({"drop": self._rng.choice(["before", "after"]), "times": 3})

    async def fail(self) -> None:
        """Cloudflare answers 502, though it did what was asked."""
        fault = {"code": 502, "when": "after", "message": "Bad Gateway"}
        self._ground.site.cloudflare.break_with({"status": fault, "times": 3})

    async def hang_apiserver(self) -> None:
        """The API server stands still."""
        async with self._servers:
            with self._ground.site.cluster.pause_apiserver():
                await self._a_while()

    async def restart_apiserver(self) -> None:
        """The API server crashes. While it comes back the relays stand still, too: servers start on this thread."""
        async with self._servers:
            self._ground.site.cluster.restart_apiserver()

    async def restart_etcd(self) -> None:
        """The database crashes."""
        async with self._servers:
            self._ground.site.cluster.restart_etcd()

    async def _stall(self, server: str) -> None:
        replica = await self._somebody()
        replica.relays[server].stall()
        await self._a_while()
        replica.relays[server].heal()

    async def _somebody(self) -> Replica:
        await until(lambda: self._ground.replicas, "somebody runs")
        return self._rng.choice(self._ground.replicas)

    async def _taken_out(self) -> Replica:
        replica = await self._somebody()
        self._ground.replicas.remove(replica)
        return replica

    async def _a_while(self) -> None:
        await asyncio.sleep(self._rng.uniform(SHORT, LONG))
