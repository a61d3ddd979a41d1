"""Operators as processes of their own: what `demo` shows and what the journey tests kill.

Each one is the installed program with an environment and nothing else of ours; its log goes to a file.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

STOP_WITHIN = 30.0  # seconds after SIGTERM: a call in flight may take ten


@dataclass
class Replica:
    """A running operator; `log` is where its lines go."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    @property
    def is_running(self) -> bool:
        return self.process.returncode is None

    def send(self, number: signal.Signals) -> None:
        """A signal, if it still runs."""
        if self.is_running:
            # Not `send_signal`: that collects a process which has just ended, and asyncio never learns its exit code.
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    async def kill(self) -> None:
        """End it with -9 and wait for it."""
        self.send(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """End it as Kubernetes does; its exit code.

        Raises:
            TimeoutError: it did not stop; it was killed.
        """
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self.process.wait(), STOP_WITHIN)
        except TimeoutError:
            await self.kill()
            raise

    async def port(self) -> int:
        """The port of its `/healthz`, as it logged it."""
        while self.is_running:
            for line in self.log.read_text().splitlines():
                if "serving /healthz" in line:
                    return int(line.rpartition('"port": ')[2].rstrip("}"))
            await asyncio.sleep(0.05)
        raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {self.log.read_text()[-2000:]}")

    async def health(self) -> tuple[int, Mapping[str, object]]:
        """Status and body of its `/healthz`."""
        url = f"http://127.0.0.1:{await self.port()}/healthz"
        async with aiohttp.ClientSession() as http, http.get(url) as reply:
            return reply.status, await reply.json()


async def start(name: str, env: Mapping[str, str], folder: Path, *, module: str = "controller") -> Replica:
    """Start one (or another module that is run like it); `env` is all it gets besides PATH."""
    log = folder / f"{name}.log"
    with log.open("ab") as lines:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            env={"PATH": os.environ.get("PATH", ""), **env},
            stdout=lines,
            stderr=lines,
            stdin=asyncio.subprocess.DEVNULL,
            # Ctrl-C in the terminal is for the demo, which ends its replicas itself.
            start_new_session=True,
        )
    return Replica(name, process, log)


@asynccontextmanager
async def ended(replicas: list[Replica]) -> AsyncIterator[None]:
    """Whatever happens in the block, none of `replicas` (which may grow meanwhile) is left afterwards."""
    try:
        yield
    finally:
        for replica in replicas:
            replica.send(signal.SIGCONT)
            replica.send(signal.SIGTERM)
        for replica in replicas:
            try:
                await asyncio.wait_for(replica.process.wait(), STOP_WITHIN)
            except TimeoutError:
                await replica.kill()
