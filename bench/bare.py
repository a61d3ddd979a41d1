"""What nothing on this machine can go below: the imports alone, and one request through the Kubernetes library.

`__main__` measures it once, before the rows, whose floors rest on it: no two machines are equally fast.
"""

import asyncio
import sys
from collections.abc import Mapping
from typing import NamedTuple

from sandbox import stage as stages
from sandbox.cloudflare.world import World


class Bare(NamedTuple):
    """Seconds of CPU and MiB of a process that only imports the operator's modules; seconds of CPU of one request."""

    cpu: float
    memory: float
    request: float


_IMPORTS = """
import re, time, controller.app
print(time.process_time(), re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""
SESSION = "0" * 12  # whose Pod is patched


async def bare() -> Bare:
    """Measured now, with the bytecode compiled."""
    for _ in range(2):
        seconds, kib = (await _told("-c", _IMPORTS)).split()
    async with stages.running(World(zone_name=stages.DOMAIN)) as stage:
        await stage.kube.create_session(SESSION)
        request = await _told("-m", "bench.patches", environment=stage.environment())
    return Bare(float(seconds), int(kib) / 1024, float(request))


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
