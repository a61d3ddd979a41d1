"""One bug: plant it into a copy of the product, play the simulation there, and come back with who noticed.

`__main__` is the caller. The work tree stays as it is.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutants.mutant import Mutant, plant

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("fsm", "k8s", "cloudflare_ops", "controller", "sandbox", "tests")
PATIENCE = 900.0  # seconds for all stories of one bug


class BrokenMutantError(Exception):
    """The simulation did not come to a verdict: the bug is written wrong."""


@dataclass(frozen=True)
class Result:
    """`caught` is what was noticed ("" for nothing), after so many stories and seconds."""

    caught: str
    stories: int
    seconds: float


def hunt(mutant: Mutant) -> Result:
    """Play until the bug is noticed, or all stories are told.

    Raises:
        StaleMutantError: it does not fit the code.
        BrokenMutantError: it is no code that runs.
    """
    with TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder).resolve()
        for package in COPIED:
            shutil.copytree(ROOT / package, copy / package)
        plant(mutant, copy)
        return _play(mutant, copy)


def _play(mutant: Mutant, copy: Path) -> Result:
    environment = os.environ | {"PYTHONHASHSEED": "0", "PYTHONPATH": str(copy)}
    command = [sys.executable, "-m", "tests.mutants.play"]
    begun = time.monotonic()
    try:
        run = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise BrokenMutantError(f"{mutant.name}: no verdict in {PATIENCE:.0f} s") from None
    if run.returncode:
        raise BrokenMutantError(f"{mutant.name}: no verdict, but\n{run.stderr[-2000:]}")
    verdict = json.loads(run.stdout.splitlines()[-1])
    return Result(verdict["caught"], verdict["stories"], time.monotonic() - begun)
