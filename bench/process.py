"""What a program takes, as the kernel tells it, and a program that is held back.

`rows` reads CPU and memory of the operator's process alone: servers and measuring are not in them.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, Never

from controller.background import background
from sandbox.operators import Replica

TICK = os.sysconf("SC_CLK_TCK")
PERIOD = 0.1  # seconds: the period of a CPU limit in Kubernetes
SHARE = 0.2  # of a core: 200 millicores
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


async def cpu_of_imports() -> float:
    """Seconds of CPU for the operator's modules and those that they need, and nothing else."""
    command = (sys.executable, "-c", "import time, controller.app; print(time.process_time())")
    program = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await program.communicate()
    return float(output)


@asynccontextmanager
async def held(replica: Replica) -> AsyncIterator[None]:
    """For as long as the block lasts it gets `SHARE` of a core: stopped whenever it has used more, until that is paid.

    A cgroup's quota does the same; this needs no rights and works everywhere. It is told in the table.
    """
    async with background(lambda: _hold(replica)):
        yield
    replica.send(signal.SIGCONT)


async def _hold(replica: Replica) -> Never:
    clock = asyncio.get_running_loop().time
    free_at = clock()  # when what it has used so far is paid for
    spent = _run_time(replica)
    while True:
        before, spent = spent, _run_time(replica)
        # What it did not use is lost after a period; what it had too much, because we looked late, is paid back.
        free_at = max(free_at, clock() - PERIOD) + (spent - before) / SHARE
        replica.send(signal.SIGSTOP if free_at > clock() else signal.SIGCONT)
        await asyncio.sleep(max(LOOK, free_at - clock()))


def _run_time(replica: Replica) -> float:
    """Seconds of CPU of its main thread, to the nanosecond."""
    return int(Path(f"/proc/{replica.process.pid}/schedstat").read_text().split()[0]) / 1e9
