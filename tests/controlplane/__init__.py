"""A real Kubernetes control plane for the tests: etcd and kube-apiserver as plain processes, Traefik and kubectl.

    with control_plane() as cluster:                      # or the session fixture `cluster`
        cluster.kubectl("get", "namespaces")
        token = cluster.service_account_token("opencode-router", "opencode-router")
        with traefik(cluster, cross_namespace=True) as proxy:
            proxy.reach("8b6cc2aa9a45-oc.no-panic.org", "/oauth2/start").service

No kubelet: a Pod without `spec.nodeName` is deleted at once, one with a node name terminates as in production and goes
when the test, playing the kubelet, deletes it with `--grace-period=0 --force`. No controller manager: nothing is
collected by owner reference, and a namespace that is being deleted never goes.

build.py and golang.py find or build the programs, process.py keeps them on a leash, server.py is the control plane,
traefik.py Traefik, services.py what answers behind it, plugin.py the fixtures.
"""

from tests.controlplane.build import ControlPlaneUnavailableError
from tests.controlplane.process import wait_for
from tests.controlplane.server import ControlPlane, KubectlError, control_plane
from tests.controlplane.traefik import Answer, Proxy, traefik

__all__ = [
    "Answer",
    "ControlPlane",
    "ControlPlaneUnavailableError",
    "KubectlError",
    "Proxy",
    "control_plane",
    "traefik",
    "wait_for",
]
