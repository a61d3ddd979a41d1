"""`make mutmut`: a mutation tool on what is pure, with the fast tests as judge; the figures go into docs/mutants.md.

The transition table is data, which the tool leaves alone: `rows` sees to it. Works in a copy. Exit code 1 when less
than `ENOUGH` is killed, or something survives without a reason in `survivors`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutants import page
from tests.mutants.hunt import COPIED, ROOT
from tests.mutants.page import Survivor
from tests.mutants.survivors import REASONS

TOOL = ROOT / ".venv-mutants" / "bin" / "mutmut"
ENOUGH = 0.95
PURE = ("bisect", "breaker", "budget", "document", "endpoints", "errors", "ingress", "ownership", "wishes", "zone")
JUDGES = ("tests/fsm", "tests/cloudflare_ops", "tests/property")
SETTINGS = {
    "source_paths": ("fsm", "cloudflare_ops"),
    "only_mutate": ("fsm/*", *(f"cloudflare_ops/{name}.py" for name in PURE)),
    "also_copy": ("k8s", "controller", "sandbox"),
    "pytest_add_cli_args_test_selection": JUDGES,
    "pytest_add_cli_args": ("--ignore=tests/property/simulation", "-p", "no:cacheprovider"),
}


def main() -> int:
    """Returns the exit code."""
    with TemporaryDirectory(prefix="mutmut-") as folder:
        copy = Path(folder).resolve()
        for package in COPIED:
            shutil.copytree(ROOT / package, copy / package)
        shutil.copy(ROOT / "pyproject.toml", copy)
        lists = (f"{key}=" + "".join(f"\n    {value}" for value in values) for key, values in SETTINGS.items())
        (copy / "setup.cfg").write_text("[mutmut]\n" + "\n".join(lists) + "\n")
        _mutmut(copy, "run")
        _mutmut(copy, "export-cicd-stats")
        figures = json.loads((copy / "mutants" / "mutmut-cicd-stats.json").read_text())
        survivors = [_survivor(copy, name) for name in _names(_mutmut(copy, "results", is_shown=False))]
    return _told(figures["total"], survivors)


def _mutmut(copy: Path, *arguments: str, is_shown: bool = True) -> str:
    # The project's own packages, but not the project: what is imported is the copy.
    environment = os.environ | {"PYTHONPATH": sysconfig.get_path("purelib"), "PYTHONHASHSEED": "0"}
    output = None if is_shown else subprocess.PIPE
    run = subprocess.run([TOOL, *arguments], cwd=copy, env=environment, stdout=output, text=True, check=True)
    return run.stdout or ""


def _names(results: str) -> list[str]:
    """All that was not killed: a bug that makes the tests hang is killed as well."""
    return re.findall(r"^\s*(\S+): (?:survived|no tests|suspicious|segfault|not checked)$", results, re.MULTILINE)


def _survivor(copy: Path, name: str) -> Survivor:
    diff = _mutmut(copy, "show", name, is_shown=False)
    old, new = (
        " ".join(re.findall(rf"^\{sign}(?!{re.escape(sign * 2)})\s*(.*)$", diff, re.MULTILINE)) for sign in "-+"
    )
    # mutmut's names of methods and functions: a.xǁClassǁmethod__mutmut_1, a.x_function__mutmut_1.
    function = re.sub(r"__mutmut_\d+$", "", name).replace(".xǁ", ".").replace("ǁ", ".").replace(".x_", ".")
    return Survivor(function, old, new, REASONS.get((function, new), ""))


def _told(total: int, survivors: list[Survivor]) -> int:
    killed = total - len(survivors)
    page.write_core(killed, total, survivors)
    unexplained = [survivor for survivor in survivors if not survivor.reason]
    sys.stdout.write(f"\n{killed} of {total} mutants were killed ({killed / total:.1%})\n")
    sys.stdout.writelines(f"  no reason: {s.function}\n    - {s.old}\n    + {s.new}\n" for s in unexplained)
    return int(killed < ENOUGH * total or bool(unexplained))


if __name__ == "__main__":
    sys.exit(main())
