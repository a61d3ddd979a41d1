"""What a person is told when there is no control plane to be had."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
HEADLINE = "THE TESTS ON A REAL CONTROL PLANE DID NOT RUN"


@pytest.fixture
def run(tmp_path: Path) -> "Run":
    return Run(tmp_path)


class Run:
    """pytest on the cluster tests, on a machine whose KUBEBUILDER_ASSETS is an empty folder."""

    def __init__(self, empty: Path) -> None:
        self._env = {**os.environ, "KUBEBUILDER_ASSETS": str(empty)}

    def __call__(self, *arguments: str, ci: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/cluster/test_control_plane.py"]
        env = {**self._env, "CI": ci}
        return subprocess.run(
            [*command, *arguments], cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False
        )


def test_the_tests_are_skipped_and_the_end_says_it_loudly(run: Run) -> None:
    done = run()
    assert done.returncode == 0
    assert HEADLINE in done.stdout
    assert "Set KUBEBUILDER_ASSETS to a folder" in done.stdout.split(HEADLINE)[1]
    assert " passed" not in done.stdout


def test_in_ci_that_is_a_failure(run: Run) -> None:
    done = run(ci="true")
    assert done.returncode == 1
    assert HEADLINE in done.stdout
    assert " skipped" not in done.stdout


def test_whoever_leaves_them_out_is_told_nothing(run: Run) -> None:
    done = run("-m", "not cluster")
    assert HEADLINE not in done.stdout
    assert " deselected" in done.stdout
