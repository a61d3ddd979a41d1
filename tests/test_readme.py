"""What README says is what the code does: reasons, variables, annotations, the example of deploy/, links."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller import sweep_request
from controller.metrics import Metrics
from controller.settings import Settings, SettingsError
from fsm.codec import KEYS
from fsm.session import PREFIX
from fsm.states import State
from tests.deploy.test_manifests import OVERLAY

REPOSITORY = Path(__file__).resolve().parent.parent
README = (REPOSITORY / "README.md").read_text()
PACKAGES = ("fsm", "k8s", "cloudflare_ops", "controller")
REASON = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]+)+")
_TREES = [ast.parse(path.read_text()) for top in PACKAGES for path in (REPOSITORY / top).glob("*.py")]


def _section(title: str) -> str:
    """The text under one heading of README."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def _first_cells(text: str) -> list[str]:
    """The first cell of every row of the tables in `text`."""
    return re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)


def _words(node: ast.AST) -> set[str]:
    """The reason words among the texts in `node`."""
    texts = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str))
    return {text for text in texts if REASON.fullmatch(text)}


def _is_error(call: ast.Call) -> bool:
    """Whether an error is made here: of a class (`...Error`, or `super()` in one), or by the table of shared ones."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name.endswith("Error") or name in ("__init__", "shared")


def _constants() -> dict[str, set[str]]:
    """Name of a constant, or of a variable `reason` -> the reason words that it is given, over all modules."""
    found: dict[str, set[str]] = {}
    for node in (node for tree in _TREES for node in ast.walk(tree) if isinstance(node, ast.Assign)):
        for target in node.targets:
            name = getattr(target, "id", "")
            if name.isupper() or name == "reason":
                found.setdefault(name, set()).update(_words(node.value))
    return found


def _raised() -> Iterator[str]:
    """Every reason that an error can be made with, and every one that a text of the record begins with."""
    constants = _constants()
    for node in (node for tree in _TREES for node in ast.walk(tree)):
        if isinstance(node, ast.Call) and _is_error(node) and node.args:
            yield from _words(node.args[0])
            for name in ast.walk(node.args[0]):
                yield from constants.get(getattr(name, "id", getattr(name, "attr", "")), ())
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(rf"^({REASON.pattern}): ", node.value)


RAISED = frozenset(_raised()) | _constants()["_SHARED"] | _constants()["UNREADABLE"]
EXPLAINED = {
    word for cell in _first_cells(_section("What each `last-error` means")) for word in re.findall(r"`(\w+)`", cell)
}


def test_every_reason_that_the_code_can_give_is_explained() -> None:
    assert len(RAISED) > 20
    assert sorted(RAISED - EXPLAINED) == []


def test_every_reason_that_is_explained_can_be_given() -> None:
    assert sorted(EXPLAINED - RAISED) == []


def _variables() -> dict[str, str]:
    """Variable -> its default as README gives it, from the configuration table."""
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| ([^|]+) \|", _section("Configuration"), re.MULTILINE)
    return {name: default.strip("`") for name, default in rows}


REQUIRED = {
    "CF_API_TOKEN": "token",
    "CF_ZONE_ID": "0" * 32,
    "CF_TUNNEL_ID": "00000000-0000-0000-0000-000000000000",
    "DOMAIN": "example.org",
    "ROUTER_SERVICE_URL": "http://router:80",
}


def test_every_variable_is_in_the_table_under_the_name_of_its_setting() -> None:
    assert {name.lower() for name in _variables()} == set(Settings.__dataclass_fields__)


def test_the_required_variables_are_those_without_which_nothing_starts() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({})
    missing = {problem.partition(":")[0] for problem in caught.value.problems}
    assert missing == {name for name, default in _variables().items() if default == "*required*"} == set(REQUIRED)


@pytest.mark.parametrize(("name", "default"), [item for item in _variables().items() if item[1] != "*required*"])
def test_the_default_in_the_table_is_the_real_one(name: str, default: str) -> None:
    real = getattr(Settings.from_env(REQUIRED | {"HOSTNAME": "the host's name"}), name.lower())
    if isinstance(real, float):
        real = f"{real:g}"
    told = {"empty": "", "WATCH_NAMESPACE": _variables()["WATCH_NAMESPACE"]}.get(default, default)
    assert str(real or "") == told or (real, told) == ((), "")


def test_every_annotation_and_every_state_is_explained() -> None:
    cells = " ".join(_first_cells(_section("How to read `kubectl describe pod`")))
    assert set(re.findall(r"`([\w-]+)`", cells)) == {key.removeprefix(PREFIX) for key in KEYS} | {
        state.value for state in State
    }


def _collected() -> dict[str, tuple[str, set[str]]]:
    """Every metric as a scraper names it -> its type and labels."""
    found = {}
    metrics = Metrics()
    metrics.calls["GET zone", "200"] += 1
    for family in metrics.registry.collect():
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = {name for sample in family.samples for name in sample.labels}
        found[family.name + suffix] = ("gauge" if family.type == "info" else family.type, labels - {"le"})
    for metric in (metrics.transitions, metrics.effects, metrics.sessions):
        family = next(iter(metric.collect()))
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = (family.type, set(metric._labelnames))
    return found


COLLECTED = _collected()
METRIC = re.compile(r"(?:opencode_cloudflare_operator|process)_\w+")


def test_every_metric_is_in_the_table_and_every_one_in_the_table_exists() -> None:
    explained = METRIC.findall(" ".join(_first_cells(_section("Metrics").partition("Worth an alert")[0])))
    assert len(explained) == len(set(explained))
    assert set(explained) == set(COLLECTED)


def test_the_table_has_type_and_labels_of_every_metric() -> None:
    rows = re.findall(r"^\| `(opencode_\w+)` \| (\w+) \|([^|]*)\|", _section("Metrics"), re.MULTILINE)
    told = {name: (kind, set(re.findall(r"\w+", labels))) for name, kind, labels in rows}
    assert told == {name: value for name, value in COLLECTED.items() if name.startswith("opencode_")}


def test_every_metric_that_readme_names_exists() -> None:
    assert set(METRIC.findall(README)) <= set(COLLECTED)


def test_the_sweep_request_is_one_that_the_leader_takes() -> None:
    command = re.search(rf"{sweep_request.REQUEST}=(.*)$", README, re.MULTILINE)
    assert command
    text = subprocess.run(["sh", "-c", f"printf %s {command[1]}"], check=True, capture_output=True, text=True).stdout
    request = sweep_request.pending({sweep_request.REQUEST: text})
    assert request
    assert request.id.isdecimal()


def test_the_images_have_the_version_of_the_project() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert re.findall(r"(?:operator:|newTag: )(\d+\.\d+\.\d+)\b", README) == [version, version]


def test_the_example_is_the_overlay_that_is_tested() -> None:
    shown = re.search(r"<!-- overlay:begin -->\n +```yaml\n(.*?) +```\n", README, re.DOTALL)
    assert shown
    text = "\n".join(line.removeprefix("   ") for line in shown[1].splitlines()) + "\n"
    assert text == (OVERLAY / "kustomization.yaml").read_text().replace(
        "../../../deploy", "opencode-cloudflare-operator/deploy"
    )


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        *sorted(str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "docs").rglob("*.md")),
    ],
)
def test_every_link_to_a_file_leads_somewhere(page: str) -> None:
    folder = (REPOSITORY / page).parent
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (REPOSITORY / page).read_text())
    assert [link for link in links if "://" not in link and not (folder / link).exists()] == []
