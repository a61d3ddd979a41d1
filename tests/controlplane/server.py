"""The control plane: etcd, kube-apiserver, and the real kubectl to talk to them.

Tests hold a `ControlPlane`, mostly by the fixture `cluster`; `traefik.py` and the operators under test get its `url`,
its `ca_file` and a token.
"""

import contextlib
import hashlib
import http.client
import json
import secrets
import ssl
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.controlplane.build import find_programs
from tests.controlplane.process import Program, find_ports

CRDS = Path(__file__).with_name("crds")
KUBECTL = Path(sysconfig.get_path("scripts")) / "kubectl"
# Of every request of a ServiceAccount: who, what, and how it was answered; no content.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}],
}
KUBECTL_LIMIT = 60.0  # seconds; nothing here takes ten


class KubectlError(Exception):
    """kubectl ended with another code than 0; holds the command and what it wrote."""


class ControlPlane:
    """One etcd and one kube-apiserver on free ports of 127.0.0.1, with Traefik's kinds installed.

    url: of the API server, without a slash at the end.
    ca_file: the certificate to trust for it.
    token: the tests' own administrator (`system:masters`); operators under test get one of `service_account_token`.
    folder: data and logs; gone when the control plane is.
    """

    def __init__(self, folder: Path, *, watchlist: bool) -> None:
        client, peer, self._port = find_ports(3)
        self.folder = folder
        self.url = f"https://127.0.0.1:{self._port}"
        self.ca_file = folder / "certificates" / "apiserver.crt"
        self.token = secrets.token_hex(16)
        self._etcd_health = f"127.0.0.1:{client}"
        programs = find_programs()
        self._etcd = Program(self._etcd_command(programs.etcd, client, peer), log=folder / "etcd.log")
        command = self._apiserver_command(programs.kube_apiserver, client, watchlist=watchlist)
        self._apiserver = Program(command, log=folder / "kube-apiserver.log")

    def start(self) -> None:
        """Bring both up and make Traefik's kinds known."""
        self.start_etcd()
        self.start_apiserver()
        self.install_kinds()

    def install_kinds(self) -> None:
        """Make Traefik's kinds known, if they are not."""
        self.kubectl("apply", "--filename", str(CRDS))
        self.kubectl("wait", "--for=condition=Established", "--timeout=30s", "--filename", str(CRDS))

    def stop(self) -> None:
        """Kill both: there is nothing to save."""
        self._apiserver.kill()
        self._etcd.kill()

    def start_apiserver(self) -> None:
        """Start it on its old port and data, and wait until it is ready (3 s). From the main thread only."""
        self._apiserver.start(self._is_ready)

    def kill_apiserver(self) -> None:
        """End it as a crash would: connections break, the port refuses."""
        self._apiserver.kill()

    def restart_apiserver(self) -> None:
        """Kill it and start it again."""
        self.kill_apiserver()
        self.start_apiserver()

    def pause_apiserver(self) -> contextlib.AbstractContextManager[None]:
        """For as long as the context lasts: connections stay open, new ones are accepted, nothing is answered."""
        return self._apiserver.paused()

    def start_etcd(self) -> None:
        """Start it on its old port and data. From the main thread only."""
        self._etcd.start(self._etcd_is_ready)

    def restart_etcd(self) -> None:
        """Kill it and start it again on the same data."""
        self._etcd.kill()
        self.start_etcd()

    def service_account_token(self, namespace: str, name: str) -> str:
        """A token of this ServiceAccount that is good for an hour (a TokenRequest, as the kubelet makes it)."""
        return self.kubectl("create", "token", name, "--namespace", namespace).stdout.strip()

    def kubeconfig(self, token: str | None = None) -> Path:
        """A kubeconfig file for this token, or for the administrator."""
        token = token or self.token
        path = self.folder / f"kubeconfig-{hashlib.sha256(token.encode()).hexdigest()[:12]}"
        if not path.exists():  # somebody may be reading it
            path.write_text(json.dumps(self._kubeconfig(token)))
        return path

    def kubectl(
        self, *arguments: str, token: str | None = None, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run the real kubectl, as the administrator or with another token.

        Raises:
            KubectlError: its exit code is not 0, and `check` was not turned off to look at the code.
        """
        command = [str(KUBECTL), "--kubeconfig", str(self.kubeconfig(token)), *arguments]
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=KUBECTL_LIMIT,
            env={"HOME": str(self.folder)},
        )
        if check and done.returncode:
            raise KubectlError(
                f"kubectl {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def apply(self, *manifests: dict[str, Any], token: str | None = None) -> None:
        """`kubectl apply` these objects.

        Raises:
            KubectlError: one of them was refused.
        """
        objects = {"apiVersion": "v1", "kind": "List", "items": manifests}
        self.kubectl("apply", "--filename", "-", token=token, stdin=json.dumps(objects))

    def requests_of(self, namespace: str, account: str) -> list[dict[str, Any]]:
        """Every request of this ServiceAccount so far, as events of the audit log (`verb`, `objectRef`, …)."""
        return self.requests_from(namespace, account, 0)[0]

    def requests_from(self, namespace: str, account: str, position: int) -> tuple[list[dict[str, Any]], int]:
        """Those that the audit log has from this position on, and the position where the next ones will be."""
        with (self.folder / "audit.log").open("rb") as log:
            log.seek(position)
            lines = log.readlines()
        if lines and not lines[-1].endswith(b"\n"):  # it is being written
            lines.pop()
        user = f"system:serviceaccount:{namespace}:{account}"
        events = [event for event in map(json.loads, lines) if event["user"]["username"] == user]
        return events, position + sum(map(len, lines))

    def _etcd_command(self, program: Path, client: int, peer: int) -> list[str | Path]:
        client_url, peer_url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
        return [
            program,
            "--unsafe-no-fsync",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client_url}",
            f"--advertise-client-urls={client_url}",
            f"--listen-peer-urls={peer_url}",
            f"--initial-advertise-peer-urls={peer_url}",
            f"--initial-cluster=default={peer_url}",
            "--log-level=warn",
        ]

    def _apiserver_command(self, program: Path, etcd: int, *, watchlist: bool) -> list[str | Path]:
        key = self.ca_file.with_suffix(
            ".key"
        )  # the server makes both before it reads either, so one key does for TLS and for tokens
        tokens = self.folder / "tokens.csv"
        tokens.write_text(f'{self.token},tests,tests,"system:masters"\n')
        policy = self.folder / "audit-policy.json"
        policy.write_text(json.dumps(AUDIT_POLICY))
        return [
            program,
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            f"--cert-dir={self.ca_file.parent}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",  # a loopback address may not be published, and nobody asks for it
            f"--secure-port={self._port}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            f"--token-auth-file={tokens}",
            "--authorization-mode=RBAC",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.folder / 'audit.log'}",
            "--audit-log-maxsize=0",  # no second file at 100 MB: who reads it reads one, and bench writes 60 in a row
            "--disable-admission-plugins=ServiceAccount",  # wants the `default` that a controller manager makes
            *([] if watchlist else ["--feature-gates=WatchList=false"]),
        ]

    def _kubeconfig(self, token: str) -> dict[str, Any]:
        cluster = {"server": self.url, "certificate-authority": str(self.ca_file)}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "tests", "user": {"token": token}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            "current-context": "tests",
        }

    def _is_ready(self) -> bool:
        try:
            trust = ssl.create_default_context(cafile=self.ca_file)
        except OSError:  # not there, or (seen on a busy machine) not written to its end
            return False
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=5, context=trust)
        return _answers_200(connection, "/readyz", {"Authorization": f"Bearer {self.token}"})

    def _etcd_is_ready(self) -> bool:
        return _answers_200(http.client.HTTPConnection(self._etcd_health, timeout=5), "/health", {})


def _answers_200(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> bool:
    with contextlib.closing(connection):
        try:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status == 200
        except OSError:
            return False


@contextlib.contextmanager
def control_plane(*, watchlist: bool = True) -> Iterator[ControlPlane]:
    """A control plane of one's own (7 s, 350 MiB), gone with its data when the context ends, however it ends.

    watchlist: False is an older server, which answers 422 to a watch with `sendInitialEvents`.

    Raises:
        ControlPlaneUnavailableError: its programs are not to be had here.
        RuntimeError: one of them did not start; shows the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="control-plane-") as folder, contextlib.ExitStack() as ending:
        cluster = ControlPlane(Path(folder), watchlist=watchlist)
        ending.callback(cluster.stop)
        cluster.start()
        yield cluster
