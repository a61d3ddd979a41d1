"""What comes of the Dockerfile: its own steps are carried out (scripts/check_image.py), and the result is started."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.check_image import REPOSITORY, Image, Step, UnknownStepError, build, built, read_steps

DOCKERFILE = REPOSITORY / "Dockerfile"
STEPS = list(read_steps(DOCKERFILE.read_text()))

# The whole environment of the operator is downloaded, installed and compiled once for this page.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    with built() as image:
        yield image


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_the_image_answers_as_another_user_on_a_read_only_tree(image: Image, option: str) -> None:
    result = image.start(option)
    assert (result.returncode, result.stderr) == (0, "")
    assert "opencode-cloudflare-operator" in result.stdout


def test_an_empty_environment_ends_with_exit_code_2_and_every_missing_name(image: Image) -> None:
    result = image.start()
    assert result.returncode == 2
    missing = ("CF_API_TOKEN", "CF_ZONE_ID", "CF_TUNNEL_ID", "DOMAIN", "ROUTER_SERVICE_URL")
    assert [name for name in missing if name not in result.stderr] == []


def test_every_module_of_the_image_has_its_bytecode(image: Image) -> None:
    modules = [path for path in image.root.rglob("*.py") if "/lib/" in str(path)]
    cached = {path.parent.parent / path.name.partition(".")[0] for path in image.root.rglob("__pycache__/*.pyc")}
    assert len(modules) > 1000
    assert [path for path in modules if path.with_suffix("") not in cached] == []


def test_the_image_holds_the_virtual_environment_and_nothing_else(image: Image) -> None:
    assert {str(path.relative_to(image.root)) for path in image.root.glob("*/*")} == {"opt/operator", "usr/local"}


def test_the_image_holds_neither_tests_nor_sandbox_nor_tools(image: Image) -> None:
    (packages,) = (image.root / "opt/operator/lib").glob("python*/site-packages")
    tops = {path.name for path in packages.iterdir()}
    assert {"fsm", "k8s", "cloudflare_ops", "controller"} <= tops
    assert not tops & {"tests", "sandbox", "scripts", "pip", "hatchling", "pytest", "editables"}


def test_the_four_packages_are_nobody_elses(image: Image) -> None:
    script = "import importlib.metadata, json; print(json.dumps(importlib.metadata.packages_distributions()))"
    command = [str(image.root / "opt/operator/bin/python"), "-c", script]
    owners = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for package in ("fsm", "k8s", "cloudflare_ops", "controller"):
        assert owners[package] == ["opencode-cloudflare-operator"]


def test_the_image_runs_as_a_numeric_user_that_is_not_root() -> None:
    assert [step.text for step in STEPS if step.name == "USER"] == ["65532:65532"]


def test_the_base_is_pinned_by_version_and_digest_and_used_by_every_stage() -> None:
    bases = [step.text for step in STEPS if step.name == "FROM"]
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64} AS base", bases[0])
    assert all(re.match(r"base\b", other) for other in bases[1:])


def test_every_installation_is_by_hash_or_from_the_folder_alone() -> None:
    commands = [part for step in STEPS if step.name == "RUN" for part in step.text.split("&&")]
    installations = [command for command in commands if " install " in command]
    assert len(installations) == 3
    assert all("--require-hashes" in command or "--no-index --no-deps" in command for command in installations)


def test_what_is_copied_is_what_the_build_context_lets_through() -> None:
    copied = {name for step in STEPS if step.name == "COPY" and "--from" not in step.text for name in _sources(step)}
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert copied == {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert all((REPOSITORY / name).exists() for name in copied)


def _sources(step: Step) -> Iterator[str]:
    *names, _target = step.text.split()
    yield from names


def test_an_instruction_that_nobody_knows_stops_the_check(tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("VOLUME /data\n")
    with pytest.raises(UnknownStepError, match="VOLUME"):
        build(dockerfile, tmp_path / "image")


def test_a_step_that_fails_stops_the_check(tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM python AS base\nRUN true \\\n    && false\n")
    with pytest.raises(subprocess.CalledProcessError):
        build(dockerfile, tmp_path / "image")
