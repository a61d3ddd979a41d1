"""deploy/ on a router's Deployment, built by the real `kubectl kustomize`: the rights, the sidecar, what stays."""

import copy
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

Manifest = dict[str, Any]

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
OVERLAY = HERE / "overlay"
KUBECTL = Path(sys.executable).parent / "kubectl"
ROUTER: Manifest = yaml.safe_load((OVERLAY / "router.yaml").read_text())


def _kustomize(overlay: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([KUBECTL, "kustomize", overlay], check=False, capture_output=True, text=True, timeout=60)


def _build(overlay: Path) -> dict[tuple[str, str], Manifest]:
    result = _kustomize(overlay)
    assert (result.returncode, result.stderr) == (0, "")
    return {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(result.stdout)}


@pytest.fixture(scope="module")
def built() -> dict[tuple[str, str], Manifest]:
    return _build(OVERLAY)


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(OVERLAY, tmp_path / "tests/deploy/overlay")
    shutil.copytree(REPOSITORY / "deploy", tmp_path / "deploy")
    return tmp_path / "tests/deploy/overlay"


def _template(built: dict[tuple[str, str], Manifest]) -> Manifest:
    template: Manifest = built["Deployment", "opencode-router"]["spec"]["template"]
    return template


def _sidecar(built: dict[tuple[str, str], Manifest]) -> Manifest:
    sidecar: Manifest = _template(built)["spec"]["containers"][-1]
    return sidecar


def _rights(built: dict[tuple[str, str], Manifest], role: str) -> set[tuple[str, str, str, str]]:
    """(group, resource, verb, name or "") of every single right."""
    return {
        (group, resource, verb, name)
        for rule in built["Role", role]["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def test_nothing_but_rights_settings_and_the_deployment_is_made(built: dict[tuple[str, str], Manifest]) -> None:
    assert sorted(kind for kind, _ in built) == ["ConfigMap", "Deployment", *["Role"] * 2, *["RoleBinding"] * 2]


def test_the_rights_in_the_watched_namespace_are_the_least(built: dict[tuple[str, str], Manifest]) -> None:
    lease = "opencode-cloudflare-operator"
    assert _rights(built, "opencode-cloudflare-operator") == {
        *(("", "pods", verb, "") for verb in ("get", "list", "watch")),
        ("", "pods/status", "patch", ""),
        *(("coordination.k8s.io", "leases", verb, lease) for verb in ("get", "update")),
        ("coordination.k8s.io", "leases", "create", ""),
        *(("events.k8s.io", "events", verb, "") for verb in ("create", "patch")),
    }


def test_the_rights_on_routes_are_the_least(built: dict[tuple[str, str], Manifest]) -> None:
    verbs = ("get", "list", "watch", "create", "patch", "delete")
    wanted = {("traefik.io", "ingressroutes", verb, "") for verb in verbs}
    assert _rights(built, "opencode-cloudflare-operator-routes") == wanted


def test_the_rights_go_to_the_account_that_the_router_already_has(built: dict[tuple[str, str], Manifest]) -> None:
    account = {"kind": "ServiceAccount", "name": "router-account", "namespace": "opencode-router"}
    bindings = {name: item for (kind, name), item in built.items() if kind == "RoleBinding"}
    assert len(bindings) == 2
    for name, binding in bindings.items():
        assert binding["subjects"] == [account]
        assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}


def test_both_bindings_get_the_account_by_their_whole_names() -> None:
    """kustomize before 5.8 takes a pattern in a replacement's target for a name, finds nothing, and is content."""
    component = yaml.safe_load((REPOSITORY / "deploy/kustomization.yaml").read_text())
    selected = [target["select"]["name"] for item in component["replacements"] for target in item["targets"]]
    bindings = yaml.safe_load_all((REPOSITORY / "deploy/rbac.yaml").read_text())
    assert selected == [item["metadata"]["name"] for item in bindings if item["kind"] == "RoleBinding"]


def test_the_sidecar_is_appended_and_everything_else_of_the_deployment_stays(
    built: dict[tuple[str, str], Manifest],
) -> None:
    deployment = copy.deepcopy(built["Deployment", "opencode-router"])
    appended = deployment["spec"]["template"]["spec"]["containers"].pop()
    assert appended["name"] == "cloudflare-operator"
    assert deployment == ROUTER


def test_without_the_annotation_the_router_is_still_the_default_container(overlay: Path) -> None:
    router = yaml.safe_load((overlay / "router.yaml").read_text())
    del router["spec"]["template"]["metadata"]["annotations"]
    (overlay / "router.yaml").write_text(yaml.safe_dump(router))
    template = _template(_build(overlay))
    assert "annotations" not in template["metadata"]
    assert template["spec"]["containers"][0]["name"] == "router"  # kubectl takes the first


def test_the_sidecar_keeps_to_the_restricted_pod_security_standard(built: dict[tuple[str, str], Manifest]) -> None:
    assert _sidecar(built)["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_the_sidecar_can_be_restarted_but_never_unready(built: dict[tuple[str, str], Manifest]) -> None:
    sidecar = _sidecar(built)
    assert "readinessProbe" not in sidecar
    port = sidecar["ports"][0]
    assert port["containerPort"] == 8080
    for probe in (sidecar["startupProbe"], sidecar["livenessProbe"]):
        assert probe["httpGet"] == {"path": "/healthz", "port": port["name"]}
        assert probe["timeoutSeconds"] == 5


def test_the_sidecar_has_its_share_of_the_node(built: dict[tuple[str, str], Manifest]) -> None:
    assert _sidecar(built)["resources"] == {
        "requests": {"cpu": "50m", "memory": "64Mi"},
        "limits": {"cpu": "200m", "memory": "128Mi"},
    }


def test_token_settings_and_pod_name_reach_the_sidecar(built: dict[tuple[str, str], Manifest]) -> None:
    sidecar = _sidecar(built)
    sources = {variable["name"]: variable["valueFrom"] for variable in sidecar["env"]}
    assert sources == {
        "CF_API_TOKEN": {"secretKeyRef": {"name": "opencode-router-cf-credentials", "key": "CF_API_TOKEN"}},
        "POD_NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
    }
    (settings,) = (item for (kind, _), item in built.items() if kind == "ConfigMap")
    # The generated name carries a hash: a changed setting rolls the Deployment.
    assert sidecar["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
    assert settings["metadata"]["namespace"] == "opencode-router"


def test_the_image_is_the_users_own(built: dict[tuple[str, str], Manifest]) -> None:
    assert _sidecar(built)["image"] == "registry.example/opencode-cloudflare-operator:0.1.0"


def test_the_image_has_the_version_of_the_project() -> None:
    version = re.search(r'^version = "(.+)"$', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)
    (patch,) = yaml.safe_load((REPOSITORY / "deploy/sidecar.yaml").read_text())
    assert version
    assert patch["value"]["image"] == f"opencode-cloudflare-operator:{version[1]}"


@pytest.mark.parametrize(
    ("line", "instead", "problem"),
    [
        ("  name: opencode-router\n", "  name: other\n", "nothing selected by Deployment"),
        ("      serviceAccountName: router-account\n", "", "serviceAccountName` is missing"),
    ],
    ids=["a Deployment of another name", "a Deployment without an account"],
)
def test_a_deployment_that_does_not_fit_stops_the_build(overlay: Path, line: str, instead: str, problem: str) -> None:
    text = (overlay / "router.yaml").read_text()
    assert line in text
    (overlay / "router.yaml").write_text(text.replace(line, instead, 1))
    result = _kustomize(overlay)
    assert result.returncode != 0
    assert problem in result.stderr
