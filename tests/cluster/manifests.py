"""What people apply: deploy/ on a router, a router's Pod with the sidecar, a session's Pod; and the names in them."""

import re
import secrets
import subprocess
from typing import Any

import yaml

from fsm.session import HASH_LABEL
from tests.controlplane.server import KUBECTL
from tests.deploy.test_manifests import OVERLAY

ACCOUNT = "router-account"  # of the router in tests/deploy/overlay
DOMAIN = "example.org"
SUFFIX = "-oc"
POD_SECRET = "a-secret-of-somebody-else"
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}

Json = dict[str, Any]


def new_hash() -> str:
    """The hash of a session that nobody has had yet: Traefik serves all namespaces of the control plane at once."""
    return secrets.token_hex(6)


def hostname(session: str) -> str:
    """The public name of the session."""
    return f"{session}{SUFFIX}.{DOMAIN}"


def pod_name(session: str) -> str:
    """The name of the session's Pod."""
    return f"opencode-session-{session}"


def rendered(namespace: str) -> str:
    """deploy/ on a router in this namespace, as YAML: what README tells people to apply."""
    command = [str(KUBECTL), "kustomize", str(OVERLAY)]
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return re.sub(r"namespace: opencode-router$", f"namespace: {namespace}", text, flags=re.MULTILINE)


def sidecar_pod(namespace: str, name: str) -> Json:
    """A bare Pod of the router with the sidecar, from the Deployment's template."""
    manifests = yaml.safe_load_all(rendered(namespace))
    (template,) = (item["spec"]["template"] for item in manifests if item["kind"] == "Deployment")
    metadata = template["metadata"] | {"namespace": namespace, "name": name}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def session_pod(namespace: str, session: str, **spec: Any) -> Json:
    """A session's Pod, as the router makes it; `spec` adds to its spec."""
    metadata = {
        "namespace": namespace,
        "name": pod_name(session),
        "labels": {"app.kubernetes.io/managed-by": "opencode-router", HASH_LABEL: session},
        "annotations": {"opencode.ai/user-email": "user@example.org", "opencode.ai/pod-secret": POD_SECRET},
    }
    container = {"name": "session", "image": "opencode:1.0.0", "securityContext": RESTRICTED}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], **spec}}
