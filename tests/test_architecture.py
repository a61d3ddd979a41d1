"""The house rules that a machine can check, each shown to bite: on the code as it is, and on a planted breach."""

import ast
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("fsm", "k8s", "cloudflare_ops", "controller", "sandbox", "bench")
SHIPPED = PACKAGES[:-2]
LINTER = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]

MAX_FILE = 300  # lines
MAX_FUNCTION = 40
# All that a pure core can need; a clock, a coin, a log or a socket is none of it.
PURE_IMPORTS = {"collections", "dataclasses", "datetime", "enum", "fsm", "math", "re", "transitions", "typing"}
CLOCKS = {"now", "utcnow", "today"}
EFFECTS = {"open", "print", "input", "exec", "eval", "__import__"}
AWAITING = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)

Check = Callable[[str], list[str]]


def modules(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (REPOSITORY / package).rglob("*.py"))


def imported(node: ast.AST) -> list[str]:
    """The full names that a statement imports."""
    match node:
        case ast.Import(names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module, _, level):
            return ["." * level + (module or "")]
    return []


def impurities(source: str) -> list[str]:
    """What a module of the core must not do."""
    found = []
    for node in ast.walk(ast.parse(source)):
        found += [f"imports {name}" for name in imported(node) if name.partition(".")[0] not in PURE_IMPORTS]
        match node:
            case ast.Attribute(attr=name) if name in CLOCKS:
                found.append(f"asks a clock: .{name}")
            case ast.Name(name) if name in EFFECTS:
                found.append(f"has an effect: {name}")
            case _ if isinstance(node, AWAITING):
                found.append("awaits")
    return found


def unshipped_imports(source: str) -> list[str]:
    """Imports of what is not in the wheel."""
    names = [name for node in ast.walk(ast.parse(source)) for name in imported(node)]
    return [name for name in names if name.partition(".")[0] in ("tests", "sandbox", "scripts", "bench", "pytest")]


def missing_docstring(source: str) -> list[str]:
    """Whether the module does not say where in the journey it stands."""
    tree = ast.parse(source)
    return [] if ast.get_docstring(tree) else ["no docstring"]


def too_long(source: str) -> list[str]:
    """A file or functions that nobody reads in one go."""
    lines = len(source.splitlines())
    found = [f"{lines} lines"] if lines > MAX_FILE else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            found += [f"{node.name} has {length} lines"] if length > MAX_FUNCTION else []
    return found


def breaches(check: Check, *packages: str) -> dict[str, list[str]]:
    """File -> what is wrong with it."""
    found = {str(path.relative_to(REPOSITORY)): check(path.read_text()) for path in modules(*packages)}
    return {path: wrong for path, wrong in found.items() if wrong}


def test_the_core_is_pure() -> None:
    assert breaches(impurities, "fsm") == {}


def test_nothing_shipped_needs_what_is_not_shipped() -> None:
    assert breaches(unshipped_imports, *SHIPPED) == {}


def test_every_module_opens_with_its_place_in_the_journey() -> None:
    assert breaches(missing_docstring, *PACKAGES, "scripts") == {}


def test_no_file_and_no_function_is_too_long_to_be_read() -> None:
    found = breaches(too_long, *PACKAGES, "scripts")
    assert {path: wrong for path, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(
    ("check", "source"),
    [
        (impurities, "import time"),
        (impurities, "from random import random"),
        (impurities, "from asyncio.locks import Lock"),
        (impurities, "def f():\n    import logging"),
        (impurities, "from k8s import client"),
        (impurities, "from . import table"),
        (impurities, "from datetime import datetime\nstart = datetime.now()"),
        (impurities, "import datetime\nclock = datetime.datetime.utcnow"),
        (impurities, "async def decide(): ..."),
        (impurities, "async def decide():\n    await decide()"),
        (impurities, "print('x')"),
        (unshipped_imports, "from sandbox.stage import Stage"),
        (unshipped_imports, "import tests.builders"),
        (unshipped_imports, "def f():\n    import pytest"),
        (missing_docstring, ""),
        (missing_docstring, "import re\n'''too late'''"),
        (too_long, "\n" * (MAX_FILE + 1)),
        (too_long, "def f():\n" + "    pass\n" * MAX_FUNCTION),
        (too_long, "class A:\n    async def f():\n" + "        pass\n" * MAX_FUNCTION),
    ],
)
def test_a_planted_breach_is_found(check: Check, source: str) -> None:
    assert check(source)


@pytest.mark.parametrize("check", [impurities, unshipped_imports, missing_docstring, too_long])
def test_a_module_that_keeps_the_rules_passes(check: Check) -> None:
    body = "    pass\n" * (MAX_FUNCTION - 1)
    source = '"""Where it stands."""\n\nfrom fsm.states import State\n\n\ndef f() -> None:\n' + body
    assert check(source + "\n" * (MAX_FILE - len(source.splitlines()))) == []


# The directions of imports, as `make lint` checks them.


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", code, "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=100)


def copied_to(folder: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    return folder


def plants() -> Iterator[tuple[str, str, str]]:
    """Contract, module, and what it must not import."""
    direction = "Effects depend on decisions, never the reverse"
    yield direction, "fsm.planted", "k8s.client"
    yield direction, "fsm.planted", "cloudflare_ops.client"
    yield direction, "fsm.planted", "controller.ports"
    yield direction, "k8s.planted", "cloudflare_ops.client"
    yield direction, "k8s.planted", "controller.ports"
    yield direction, "cloudflare_ops.planted", "k8s.client"
    yield direction, "cloudflare_ops.planted", "controller.ports"
    yield direction, "controller.planted", "sandbox"
    yield direction, "sandbox.planted", "bench"
    for name in ("asyncio", "aiohttp", "kubernetes", "cloudflare", "tenacity", "logging", "time", "random", "os"):
        yield "fsm is pure", "fsm.planted", name
    for package in ("fsm", "cloudflare_ops", "controller", "sandbox"):
        yield "Only k8s speaks kubernetes", f"{package}.planted", "kubernetes"
    for package in ("fsm", "k8s", "controller", "sandbox"):
        yield "Only cloudflare_ops speaks cloudflare", f"{package}.planted", "cloudflare"
    for module in ("fsm.decide", "k8s.planted", "cloudflare_ops.planted", "controller.planted", "sandbox.planted"):
        yield "Only the table knows transitions", module, "transitions"


PLANTS = tuple(plants())


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, str]]:
    """What the linter says of a copy with all of `PLANTS`: its exit code, and the text about each broken contract."""
    folder = copied_to(tmp_path_factory.mktemp("planted"))
    for _, module, name in PLANTS:
        with (folder / f"{module.replace('.', '/')}.py").open("a") as file:
            file.write(f"import {name}\n")
    result = lint_imports(folder)
    _, _, details = result.stdout.partition("Broken contracts")
    contracts = [contract["name"] for contract in LINTER["contracts"]]
    starts = sorted((details.index(f"{name}\n---"), name) for name in contracts if f"{name}\n---" in details)
    ends = [start for start, _ in starts[1:]] + [len(details)]
    return result.returncode, {name: details[start:end] for (start, name), end in zip(starts, ends, strict=True)}


def test_imports_go_one_way(tmp_path: Path) -> None:
    result = lint_imports(copied_to(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(LINTER['contracts'])} kept, 0 broken" in result.stdout


def test_a_planted_import_fails_the_check(verdict: tuple[int, dict[str, str]]) -> None:
    assert verdict[0] == 1


@pytest.mark.parametrize(("contract", "module", "name"), PLANTS)
def test_an_import_against_a_contract_is_told(
    verdict: tuple[int, dict[str, str]], contract: str, module: str, name: str
) -> None:
    assert f"{module} -> {name} " in verdict[1][contract]


def test_every_contract_is_planted_against() -> None:
    assert {contract for contract, _, _ in PLANTS} == {contract["name"] for contract in LINTER["contracts"]}


def test_the_contract_on_transitions_names_every_module_of_the_core_but_the_table() -> None:
    (contract,) = (found for found in LINTER["contracts"] if found.get("forbidden_modules") == ["transitions"])
    core = {f"fsm.{path.stem}" for path in modules("fsm")} - {"fsm.table", "fsm.__init__"}
    assert set(contract["source_modules"]) == core | set(PACKAGES) - {"fsm"}


def test_the_linter_looks_at_every_package() -> None:
    assert set(LINTER["root_packages"]) == set(PACKAGES)
