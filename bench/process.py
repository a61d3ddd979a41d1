"""What a program takes, as the kernel tells it, and a program that is held back.

`rows` reads CPU and memory of the operator's process alone: servers and measuring are not in them.
"""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Never

from bench.beside import beside
from bench.figures import SHARE
from sandbox.operators import Replica

TICK = os.sysconf("SC_CLK_TCK")
PERIOD = 0.1  # seconds: the period of a CPU limit in Kubernetes
LOOK = 0.005  # seconds


class Memory(NamedTuple):
    """Resident, in MiB: now, and at most so far."""

    now: float
    most: float


def cpu(replica: Replica) -> float:
    """Seconds of CPU so far, user and system; counted by the kernel in hundredths."""
    fields = Path(f"/proc/{replica.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(replica: Replica) -> Memory:
    """What it has in memory."""
    status = Path(f"/proc/{replica.process.pid}/status").read_text()
    sizes = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.MULTILINE))
    return Memory(int(sizes["VmRSS"]) / 1024, int(sizes["VmHWM"]) / 1024)


@asynccontextmanager
async def held(replicas: Sequence[Replica]) -> AsyncIterator[None]:
    """For as long as the block lasts each of them, from its start, gets `SHARE` of a core: stopped whenever it has used
    more, until that is paid.

    A cgroup's quota does the same; this needs no rights and works everywhere. `__main__` tells it above the table.
    """
    async with beside(lambda: _hold(replicas)):
        yield
    for replica in replicas:
        replica.send(signal.SIGCONT)


async def _hold(replicas: Sequence[Replica]) -> Never:
    clock = asyncio.get_running_loop().time
    accounts: dict[int, _Account] = {}
    while True:
        for replica in replicas:
            if replica.is_running:
                account = accounts.setdefault(replica.process.pid, _Account(clock()))
                replica.send(signal.SIGSTOP if account.owes(run_time(replica), clock()) else signal.SIGCONT)
        await asyncio.sleep(LOOK)


@dataclass
class _Account:
    """`free_at` is when what it has used so far, `spent` seconds of CPU, is paid for."""

    free_at: float
    spent: float = 0.0

    def owes(self, spent: float, now: float) -> bool:
        """Whether it has to stand still now."""
        # What it did not use is lost after a period; what it had too much, because we looked late, is paid back.
        self.free_at = max(self.free_at, now - PERIOD) + (spent - self.spent) / SHARE
        self.spent = spent
        return self.free_at > now


def run_time(replica: Replica) -> float:
    """Seconds of CPU of its main thread, to the nanosecond; 0 when it has just ended."""
    try:
        return int(Path(f"/proc/{replica.process.pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0
