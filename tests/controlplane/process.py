"""Programs that live no longer than the tests that started them.

`server.py` runs etcd and kube-apiserver as a `Program` each, `traefik.py` Traefik. A program leads a process group of
its own, so that Ctrl-C reaches pytest alone and the fixtures end things in order; when pytest is killed, the kernel
kills it.
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

POLL = 0.05  # seconds between two looks at something that takes from 0.1 s to some seconds

# Below the ports that the kernel gives to outgoing connections: a client that knocks at a server that is down could be
# given the server's own port there, connect to itself, and keep the server from coming back.
SERVER_PORTS = range(20000, 32768)

# setpriv, not a preexec_fn: no Python runs between fork and exec while other threads hold locks. Where there is none
# (not Linux) a killed pytest leaves its servers behind.
_SETPRIV = shutil.which("setpriv")
_LEASH = [_SETPRIV, "--pdeathsig", "KILL", "--"] if _SETPRIV else []


def wait_for(look: Callable[[], T | None], *, what: str, within: float = 30.0) -> T:
    """Look until there is an answer that counts (true, not empty) and return it.

    Raises:
        TimeoutError: there was none within `within` seconds; names `what`.
    """
    deadline = time.monotonic() + within
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within:g} s: {what}")
        time.sleep(POLL)
    return found


def find_ports(count: int) -> list[int]:
    """So many different ports of 127.0.0.1 on which nobody listens."""
    with contextlib.ExitStack() as held:
        return [held.enter_context(_bind()).getsockname()[1] for _ in range(count)]


def _bind() -> socket.socket:
    while True:
        listener = socket.socket()
        try:
            listener.bind(("127.0.0.1", random.choice(SERVER_PORTS)))
        except OSError:
            listener.close()
        else:
            return listener


class Program:
    """One server process that can be killed, stopped short and started again; its output is appended to `log`."""

    def __init__(self, command: Sequence[str | Path], *, log: Path, env: Mapping[str, str] | None = None) -> None:
        self.log = log
        self._command = [*_LEASH, *map(str, command)]
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, is_ready: Callable[[], bool], *, within: float = 60.0) -> None:
        """Start it and wait until it is ready.

        Raises:
            RuntimeError: it ended or was not ready within `within` seconds (shows the log's tail), or another thread
                than the main one asked.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                "start servers from the main thread: the kernel ends them with the thread that started them"
            )
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env, process_group=0
            )
        try:
            wait_for(lambda: self._has_ended() or is_ready(), what="the server is ready", within=within)
        except TimeoutError as error:
            self.kill()
            raise RuntimeError(self._describe(str(error))) from None
        if self._has_ended():
            raise RuntimeError(self._describe(f"ended with code {self._process.returncode}"))

    def kill(self) -> None:
        """End it as a crash would (SIGKILL to its group), and return when it is gone."""
        if self._process is not None and not self._has_ended():
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def terminate(self, *, within: float = 30.0) -> int:
        """End it as Kubernetes does (SIGTERM); its exit code.

        Raises:
            TimeoutExpired: it goes on after `within` seconds.
        """
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(within)

    @property
    def pid(self) -> int:
        """Its process id: the leash has made itself the program."""
        assert self._process is not None
        return self._process.pid

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let it stand still: its connections stay open and nothing answers on them."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    def _has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def _describe(self, problem: str) -> str:
        tail = self.log.read_text(errors="replace").splitlines()[-30:]
        return "\n".join([f"{self.log.stem}: {problem}; the end of its log:", *tail])
