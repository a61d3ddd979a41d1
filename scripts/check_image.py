"""The image without an image engine: the Dockerfile's own steps on a clean folder, and a start of what came of them.

`make image-check` and tests/test_image.py call it. The steps are read from the Dockerfile, so nothing here could drift
from it, and an instruction that this page does not know stops it. Absolute paths of the image become paths under one
folder, which is swapped for each stage: what a stage forgets to copy is really not there. A copy of the Python that
runs this stands in for the base image's, without bytecode, as the official image ships it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
# An absolute path at the start of a word, of a value or of an entry of PATH.
_ABSOLUTE = re.compile(r"(?:(?<=^)|(?<=[\s=:]))/(?=\w|$)")
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class UnknownStepError(Exception):
    """The Dockerfile holds an instruction that cannot be carried out here."""


@dataclass(frozen=True)
class Step:
    """One instruction: `RUN` and everything behind it, continuation lines joined."""

    name: str
    text: str


def read_steps(dockerfile: str) -> Iterator[Step]:
    """The instructions of a Dockerfile, in order, without comments."""
    lines = (line for line in dockerfile.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, text = line.partition(" ")
            yield Step(name, text.strip())


@dataclass
class Image:
    """The stage that is being built: its files under `root`, and what it says about starting them."""

    root: Path
    stages: Path
    name: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    entrypoint: tuple[str, ...] = ()

    def path(self, text: str) -> Path:
        """Where a path of the image is on this machine."""
        return self.root / os.path.join(self.folder, text).lstrip("/")

    def translated(self, text: str) -> str:
        """`text` with the image's absolute paths as paths of this machine."""
        return _ABSOLUTE.sub(f"{self.root}/", text)

    def start(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the entry point as the image's user (when this process may change its own), from another folder."""
        command = (shutil.which(self.entrypoint[0], path=self.environment["PATH"]) or "", *self.entrypoint[1:])
        uid, gid = map(int, self.user.split(":"))
        privileged = os.geteuid() == 0
        return subprocess.run(
            [*command, *arguments],
            env=self.environment | {"HOME": "/nonexistent", "TMPDIR": "/nonexistent"},
            cwd="/",
            user=uid if privileged else None,
            group=gid if privileged else None,
            extra_groups=[] if privileged else None,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def build(dockerfile: Path, folder: Path) -> Image:
    """Carry out every step of `dockerfile` under `folder`; the files of the result are read-only.

    Raises:
        UnknownStepError: an instruction that this page does not know.
        subprocess.CalledProcessError: a RUN that failed.
    """
    image = Image(root=folder / "image", stages=folder / "stages")
    image.stages.mkdir(parents=True)
    for step in read_steps(dockerfile.read_text()):
        print(f"{step.name} {step.text}", flush=True)
        if step.name not in _STEPS:
            raise UnknownStepError(step.name)
        _STEPS[step.name](image, step.text)
    subprocess.run(["chmod", "-R", "a-w,a+rX", str(image.root)], check=True)
    return image


def _from(image: Image, text: str) -> None:
    source, _, name = text.partition(" AS ")
    if image.root.exists():
        image.root.rename(image.stages / image.name)
    if (image.stages / source).exists():
        shutil.copytree(image.stages / source, image.root, symlinks=True)
    else:
        _copy_python(image.root / "usr/local")
    image.name, image.folder = name, "/"
    local = image.root / "usr/local"
    # A Python with a shared library looks for it where it was built, and that may be closed to other users.
    image.environment = {
        "PATH": f"{local}/bin:{_SYSTEM_PATH}",
        "LD_LIBRARY_PATH": f"{local}/lib",
        "LANG": "C.UTF-8",
    }


def _copy_python(prefix: Path) -> None:
    """This Python as the base image has it: /usr/local/bin/python, a standard library without bytecode and tests."""
    library = Path(sysconfig.get_path("stdlib"))
    executable = prefix / "bin" / library.name
    unwanted = shutil.ignore_patterns("__pycache__", "test", "tests", "site-packages", "dist-packages", "config-*")
    shutil.copytree(library, prefix / "lib" / library.name, ignore=unwanted, symlinks=True)
    executable.parent.mkdir()
    shutil.copy2(os.path.realpath(sys.executable), executable)
    for shared in (library.parent).glob("libpython3*"):
        shutil.copy2(shared, prefix / "lib", follow_symlinks=False)
    for name in ("python", "python3"):
        (executable.parent / name).symlink_to(executable.name)


def _env(image: Image, text: str) -> None:
    for name, value in re.findall(r"(\w+)=(\S+)", text):
        image.environment[name] = image.translated(value).replace("$PATH", image.environment["PATH"])


def _workdir(image: Image, text: str) -> None:
    image.folder = text
    image.path(text).mkdir(parents=True, exist_ok=True)


def _copy(image: Image, text: str) -> None:
    option, _, rest = text.partition(" ") if text.startswith("--from=") else ("", "", text)
    source = image.stages / option.removeprefix("--from=") if option else REPOSITORY
    *names, target = rest.split()
    for name in names:
        _copy_one(source / name.lstrip("/"), image.path(target))


def _copy_one(source: Path, target: Path) -> None:
    """As COPY does it: of a folder its content, of a file itself into the folder."""
    if source.is_dir():
        unwanted = shutil.ignore_patterns("__pycache__") if source.is_relative_to(REPOSITORY) else None
        shutil.copytree(source, target, ignore=unwanted, symlinks=True, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def _run(image: Image, text: str) -> None:
    # The caller's environment says where packages come from; what would lead to the caller's own Python is left out.
    ambient = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV", "COV_"))}
    subprocess.run(
        ["/bin/sh", "-euc", image.translated(text)], env=ambient | image.environment, cwd=image.path(""), check=True
    )


def _user(image: Image, text: str) -> None:
    image.user = text


def _entrypoint(image: Image, text: str) -> None:
    image.entrypoint = tuple(json.loads(text))


_STEPS = {
    "FROM": _from,
    "ENV": _env,
    "WORKDIR": _workdir,
    "COPY": _copy,
    "RUN": _run,
    "USER": _user,
    "ENTRYPOINT": _entrypoint,
}


@contextmanager
def built(dockerfile: Path = REPOSITORY / "Dockerfile") -> Iterator[Image]:
    """The image of `dockerfile`, gone when the caller is done with it."""
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        Path(folder).chmod(0o755)  # another user has to get through
        yield build(dockerfile, Path(folder))


def main() -> int:
    """Build, start three times, and say what came of it; the exit code of the script."""
    with built() as image:
        results = [
            (image.start(*arguments), code) for arguments, code in ((["--version"], 0), (["--help"], 0), ([], 2))
        ]
    for result, code in results:
        print(f"{' '.join(result.args)}: exit code {result.returncode}, wanted {code}\n{result.stdout}{result.stderr}")
    return int(any(result.returncode != code for result, code in results))


if __name__ == "__main__":
    sys.exit(main())
