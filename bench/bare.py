"""What nothing on this machine can go below: the imports, a request through the Kubernetes library, a watch's event.

`__main__` measures it once, before the rows, whose floors rest on it: no two machines are equally fast.
"""

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from statistics import median
from typing import NamedTuple

from fsm import codec
from fsm.record import SessionRecord
from fsm.states import State
from k8s.client import METADATA
from sandbox import stage as stages
from sandbox.cloudflare.world import World
from sandbox.kubeclient import NAMESPACE
from sandbox.stage import Stage


class Bare(NamedTuple):
    """Seconds of CPU and MiB of a process that only imports the operator's modules; seconds of CPU of one request, and
    of parsing one event of a watch of session Pods."""

    cpu: float
    memory: float
    request: float
    event: float


_IMPORTS = """
import re, time, controller.app
print(time.process_time(), re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""
SESSION = "0" * 12  # whose Pod is patched and watched
STARTS, PARSED, ROUNDS = 3, 100, 50  # imports; events in one round; rounds


async def bare() -> Bare:
    """Measured now, with the bytecode compiled: the middle of some imports after one that compiled it."""
    starts = [(await _told("-c", _IMPORTS)).split() for _ in range(1 + STARTS)][1:]
    cpu, kib = (median(map(float, column)) for column in zip(*starts, strict=True))
    async with stages.running(World(zone_name=stages.DOMAIN)) as stage:
        await stage.kube.create_session(SESSION)
        event = _parsing(await _event(stage))
        request = await _told("-m", "bench.patches", environment=stage.environment())
    return Bare(cpu, kib / 1024, float(request), event)


async def _event(stage: Stage) -> bytes:
    """What the operator's watch gets to read when a session that is Ready is touched."""
    record = SessionRecord("0" * 36, State.READY, f"{SESSION}-oc.{stages.DOMAIN}", datetime.now(UTC), stage.router)
    await stage.kube.annotate(SESSION, codec.render(record))
    url = f"{stage.kube_url}/api/v1/namespaces/{NAMESPACE}/pods?watch=1"
    async with stage.http.get(url, headers={"Accept": METADATA}) as reply:
        return await reply.content.readline()


def _parsing(line: bytes) -> float:
    """Seconds of CPU for the event of this line: the middle of many."""
    rounds = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(PARSED):
            json.loads(line)
        rounds.append((time.process_time() - begun) / PARSED)
    return median(rounds)


async def _told(*arguments: str, environment: Mapping[str, str] | None = None) -> bytes:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments), env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        output, _ = await program.communicate()
    except asyncio.CancelledError:
        program.kill()
        await program.wait()
        raise
    if program.returncode:
        raise RuntimeError(f"{' '.join(arguments)} has ended with {program.returncode}")
    return output
