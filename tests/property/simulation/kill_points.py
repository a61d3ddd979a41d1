"""Where a replica can be killed: every await of the product, and at which of them a task stood when it was.

`simulation.kill` asks `standing`, `soak` compares all that was seen with `every`. An await counts when a task stood
at it or in something that it had called.
"""

import ast
import asyncio
import gc
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import AsyncGeneratorType, CoroutineType
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("controller", "cloudflare_ops", "k8s")

# What the simulation puts something else in the place of, or never starts: file, and function or "" for all of it.
ELSEWHERE: Mapping[tuple[str, str], str] = {
    ("controller/cli.py", ""): "the process itself: journey tests",
    ("controller/app.py", "run"): "signals and connections of a process: journey tests",
    ("controller/app.py", "worlds"): "connections of a process: journey tests",
    ("controller/app.py", "_health_server"): "HTTP: journey tests",
    ("controller/health.py", ""): "HTTP: journey tests",
    ("controller/sweep_command.py", ""): "a command for people, in a process of its own: journey tests",
    ("controller/background.py", ""): "used by the sweep command alone: journey tests",
    ("k8s/lease_store.py", "facts"): "used by the sweep command alone: journey tests",
    ("k8s/lease_store.py", "annotate"): "used by the sweep command alone: journey tests",
    ("k8s/client.py", ""): "HTTP: the contract suites and the cluster tests",
    ("cloudflare_ops/transport.py", ""): "HTTP: the contract suite",
}

# Nothing is waited for at their beginning, nor at their end: what `aclosing` closes stands between two pages.
_NEVER_WAITS = re.compile(r"asyncio\.timeout\(|aclosing\(")

Point = tuple[str, str, int, int]  # file, function, first and last line


def every() -> frozenset[Point]:
    """All awaits of the product that can be reached in a simulation."""
    files = sorted(path for package in PACKAGES for path in (ROOT / package).glob("*.py"))
    found = (point for path in files for point in _awaits(path))
    return frozenset(point for point in found if not {(point[0], ""), point[:2]} & ELSEWHERE.keys())


def standing(task: asyncio.Task[Any]) -> Iterator[tuple[str, int]]:
    """File and line of each await of the product in which this task stands, the outermost first."""
    inner: Any = task.get_coro()
    while inner is not None:
        frame, following = _frame(inner)
        if frame is not None:
            file = _of_product(frame.f_code.co_filename)
            if file:
                yield file, frame.f_lineno
        inner = following


@cache  # asked a quarter of a million times in forty stories
def _of_product(file: str) -> str:
    """Its name in the project; "" for a file that is not the product's."""
    path = Path(file)
    return f"{path.parent.name}/{path.name}" if path.parent.parent == ROOT and path.parent.name in PACKAGES else ""


def _frame(inner: Any) -> tuple[Any, Any]:
    if isinstance(inner, CoroutineType):
        return inner.cr_frame, inner.cr_await
    if isinstance(inner, AsyncGeneratorType):
        return inner.ag_frame, inner.ag_await
    # What `anext` and `aclose` return hides its generator from everybody but the garbage collector.
    return None, _generator_in(inner)


def _generator_in(inner: Any) -> Any:
    if type(inner).__name__ not in ("async_generator_asend", "async_generator_athrow"):
        return None
    return next((held for held in gc.get_referents(inner) if isinstance(held, AsyncGeneratorType)), None)


def _awaits(path: Path) -> Iterator[Point]:
    name = f"{path.parent.name}/{path.name}"
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.AsyncFunctionDef):
            for node in _own(function):
                if isinstance(node, ast.Await):
                    yield name, function.name, node.lineno, node.end_lineno or node.lineno
                elif isinstance(node, ast.AsyncFor):
                    yield name, function.name, node.lineno, node.iter.end_lineno or node.lineno
                elif isinstance(node, ast.AsyncWith) and not _NEVER_WAITS.match(ast.unparse(node.items[0])):
                    last = node.items[-1].context_expr
                    yield name, function.name, node.lineno, last.end_lineno or node.lineno


def _own(function: ast.AsyncFunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions in it."""
    left: list[ast.AST] = list(function.body)
    while left:
        node = left.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            left.extend(ast.iter_child_nodes(node))
