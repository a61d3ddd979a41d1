"""The wheel holds the four packages and nothing else, and nobody else's `k8s` lies over ours."""

import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = "opencode-cloudflare-operator"
PACKAGES = ("cloudflare_ops", "controller", "fsm", "k8s")
REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_exactly_the_four_packages(wheel: Path) -> None:
    version = importlib.metadata.version(PROJECT)
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert tops == {*PACKAGES, f"{PROJECT.replace('-', '_')}-{version}.dist-info"}


def test_the_wheel_holds_every_module(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
    present = {str(path.relative_to(REPOSITORY)) for top in PACKAGES for path in (REPOSITORY / top).rglob("*.py")}
    assert packed == present


def test_the_wheel_brings_the_command_and_the_license(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    texts = {Path(name).name: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name}
    assert f"{PROJECT} = controller.__main__:main" in texts["entry_points.txt"]
    assert "MIT License" in texts["LICENSE"]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_dependency_brings_a_package_of_the_same_name(package: str) -> None:
    # An editable install lists no top-level names; tests/test_image.py asks the same of a real one.
    assert set(importlib.metadata.packages_distributions().get(package, [])) <= {PROJECT}


def test_the_lock_files_name_no_host_and_pin_everything_by_hash() -> None:
    for lock in REPOSITORY.glob("requirements*.lock"):
        text = lock.read_text()
        assert "://" not in text
        assert "--index" not in text
        pins = [line for line in text.splitlines() if not line.startswith(" ")]
        assert all("==" in pin and pin.endswith("\\") for pin in pins), lock.name


def test_the_three_lock_files_agree() -> None:
    locks = {lock.name: _pins(lock) for lock in REPOSITORY.glob("requirements*.lock")}
    everything = locks.pop("requirements-dev.lock")
    assert len(locks) == 2
    assert all(pins.items() <= everything.items() for pins in locks.values())


def _pins(lock: Path) -> dict[str, str]:
    lines = [line.split(";")[0].strip(" \\") for line in lock.read_text().splitlines() if not line.startswith(" ")]
    return dict(line.split("==") for line in lines)
