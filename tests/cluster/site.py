"""A place where the operator runs as in production: one namespace of the control plane, with deploy/'s rights, and a
Cloudflare of its own.

The fixture `site` makes one for each test. Operators are processes under the token of the router's ServiceAccount, with
exactly the Roles of deploy/; the tests, which play router, user and administrator, use kubectl or `get`.
"""

import contextlib
import http.client
import itertools
import json
import re
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fsm.session import HASH_LABEL, PREFIX, hash_of_route
from sandbox.cloudflare import world as defaults
from sandbox.cloudflare.world import World
from sandbox.stage import seed_foreign
from tests.cluster.cloudflare import Cloudflare, cloudflare
from tests.cluster.manifests import ACCOUNT, DOMAIN, POD_SECRET, SUFFIX, pod_name, rendered, session_pod, sidecar_pod
from tests.controlplane import ControlPlane, Proxy, wait_for
from tests.controlplane.process import Program

LEASE = "opencode-cloudflare-operator"
# What no log of an operator may hold: a mistake of the program, or a secret.
NEVER_LOGGED = ("this is a bug", "Traceback", POD_SECRET, defaults.TOKEN, "Bearer ")

Json = dict[str, Any]


class Weight(NamedTuple):
    """Resident memory of a process in MiB."""

    now: float
    most: float


class Operator:
    """One operator process; `name` is its Pod's."""

    def __init__(self, name: str, program: Program) -> None:
        self.name = name
        self.program = program

    def log(self) -> str:
        """What it has logged so far."""
        return self.program.log.read_text()

    def health(self) -> Json:
        """The body of its `/healthz`, which answers 200 whatever is wrong outside."""
        port = int(re.findall(r'"serving /healthz".*"port": (\d+)', self.log())[-1])
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", "/healthz")
            response = connection.getresponse()
            body: Json = json.loads(response.read())
        assert response.status == 200, body
        return body

    def problems(self) -> str:
        """Everything that `/healthz` says is wrong, as one text."""
        return "\n".join(self.health()["problems"].values())

    def memory(self) -> Weight:
        """What it takes now, and took at most."""
        status = Path(f"/proc/{self.program.pid}/status").read_text()
        now, most = (re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE) for name in ("VmRSS", "VmHWM"))
        assert now
        assert most
        return Weight(int(now[1]) / 1024, int(most[1]) / 1024)


@dataclass
class Site:
    """The namespace, its Cloudflare and its operators.

    `router` is what tunnel rules point at, `edge` where visitors come in.
    """

    cluster: ControlPlane
    namespace: str
    cloudflare: Cloudflare
    router: str
    folder: Path
    operators: list[Operator] = field(default_factory=list)

    @property
    def edge(self) -> Proxy:
        """Cloudflare's edge, to be asked like Traefik."""
        return Proxy(self.cloudflare.places.edge, self.folder / "no-log")

    def environment(self, name: str) -> dict[str, str]:
        """What an operator is started with."""
        token = self.cluster.service_account_token(self.namespace, ACCOUNT)
        return {
            "CF_API_TOKEN": defaults.TOKEN,
            "CF_ZONE_ID": defaults.ZONE_ID,
            "CF_TUNNEL_ID": defaults.TUNNEL_ID,
            "CLOUDFLARE_BASE_URL": self.cloudflare.places.api,
            "DOMAIN": DOMAIN,
            "ROUTE_SUFFIX": SUFFIX,
            "ROUTER_SERVICE_URL": self.router,
            "WATCH_NAMESPACE": self.namespace,
            "KUBECONFIG": str(self.cluster.kubeconfig(token)),
            "HEALTH_HOST": "127.0.0.1",
            "HEALTH_PORT": "0",
            "LEASE_DURATION": "5",
            "RESYNC_INTERVAL": "3",
            "ORPHAN_GRACE": "3",
            "LOG_FORMAT": "json",
            "POD_NAME": name,
        }

    def start(self, name: str = "opencode-router-0", **changes: str) -> Operator:
        """Start one more operator, in a Pod of the router that exists for its Events alone."""
        self.cluster.apply(sidecar_pod(self.namespace, name))
        return self.launch(name, self.environment(name) | changes)

    def launch(self, name: str, environment: Mapping[str, str]) -> Operator:
        """Start one more operator with this environment."""
        command = [sys.executable, "-m", "controller"]
        operator = Operator(name, Program(command, log=self.folder / f"{name}.log", env=environment))
        self.operators.append(operator)
        operator.program.start(lambda: "serving /healthz" in operator.log())
        return operator

    def leader(self) -> Operator | None:
        """The operator that holds the Lease."""
        lease = self.get(f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{LEASE}")
        holder = str(lease.get("spec", {}).get("holderIdentity") or "").rpartition("_")[0]
        return next((operator for operator in self.operators if operator.name == holder), None)

    def sweep(self, mode: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """The command for people, run as `kubectl exec` would; an `environment` of before has a token of before."""
        return subprocess.run(
            [sys.executable, "-m", "controller", "sweep", mode],
            env=environment or self.environment("sweep"),
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the namespace; its output."""
        return self.cluster.kubectl("--namespace", self.namespace, *arguments).stdout

    def get(self, path: str) -> Json:
        """One GET as administrator; {} for 404. For looking often: a kubectl costs a tenth of a second of a core."""
        with self._connection() as connection:
            status, body = self._exchange(connection, "GET", path)
            while status == 429:  # an API server that has just started: "storage is (re)initializing"
                time.sleep(body["details"]["retryAfterSeconds"])
                status, body = self._exchange(connection, "GET", path)
        assert status in (200, 404), body
        return body if status == 200 else {}

    @contextlib.contextmanager
    def touching(self, path: str) -> Iterator[None]:
        """Change an annotation of this object, as fast as it goes, until the context ends or the object is gone."""
        done = threading.Event()

        def touch() -> None:
            with self._connection() as connection:
                for count in itertools.takewhile(lambda _: not done.is_set(), itertools.count()):
                    change = {"metadata": {"annotations": {"touched": str(count)}}}
                    if self._exchange(connection, "PATCH", path, change)[0] == 404:
                        return

        toucher = threading.Thread(target=touch)
        toucher.start()
        try:
            yield
        finally:
            done.set()
            toucher.join()

    def _connection(self) -> contextlib.closing[http.client.HTTPSConnection]:
        trust = ssl.create_default_context(cafile=self.cluster.ca_file)
        place = self.cluster.url.removeprefix("https://")
        return contextlib.closing(http.client.HTTPSConnection(place, timeout=30, context=trust))

    def _exchange(
        self, connection: http.client.HTTPSConnection, method: str, path: str, body: Json | None = None
    ) -> tuple[int, Json]:
        headers = {"Authorization": f"Bearer {self.cluster.token}", "Content-Type": "application/merge-patch+json"}
        connection.request(method, path, body=json.dumps(body) if body else None, headers=headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def create(self, *sessions: str, **spec: Any) -> None:
        """Make the Pods of these sessions."""
        self.cluster.apply(*(session_pod(self.namespace, session, **spec) for session in sessions))

    def delete(self, *sessions: str) -> None:
        """Delete the Pods of these sessions, and return when they are gone."""
        self.kubectl("delete", "pod", *map(pod_name, sessions))

    def evict(self, session: str) -> None:
        """Evict the Pod of a session, as `kubectl drain` does."""
        name = pod_name(session)
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/eviction"
        metadata = {"namespace": self.namespace, "name": name}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        self.cluster.kubectl("create", "--raw", path, "--filename", "-", stdin=json.dumps(eviction))

    def records(self) -> dict[str, Mapping[str, str]]:
        """Hash -> our annotations of its Pod, without the prefix, of every session that has a Pod."""
        pods = self.get(f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={HASH_LABEL}")
        return {item["metadata"]["labels"][HASH_LABEL]: ours(item) for item in pods.get("items", ())}

    def wait_until(self, sessions: Sequence[str], state: str = "Ready", *, within: float = 60.0) -> None:
        """Return when all of these sessions are in this state, and nothing is in the way of any."""

        def look() -> bool:
            records = self.records()
            mine = [records.get(session, {}) for session in sessions]
            return all(record.get("state") == state and "last-error" not in record for record in mine)

        wait_for(look, what=f"{len(sessions)} sessions are {state}", within=within)

    def routes(self) -> list[str]:
        """The names of the IngressRoutes of sessions."""
        found = self.get(f"/apis/traefik.io/v1alpha1/namespaces/{self.namespace}/ingressroutes").get("items", ())
        names = [str(item["metadata"]["name"]) for item in found]
        return [name for name in names if hash_of_route(name)]

    def left(self) -> list[str]:
        """Every record, rule and route of any session."""
        return self.cloudflare.of_sessions() + self.routes()

    def wait_until_clean(self, *, within: float = 60.0) -> None:
        """Return when nothing of any session is left anywhere."""
        try:
            wait_for(lambda: not self.left(), what="nothing is left", within=within)
        except TimeoutError:
            raise AssertionError(f"left: {self.left()}") from None

    def restrict(self, role: str, *rules: Json) -> None:
        """Replace the rules of a Role: an administrator who gives less than deploy/ asks for."""
        patch = [{"op": "replace", "path": "/rules", "value": list(rules)}]
        self.kubectl("patch", "role", role, "--type=json", f"--patch={json.dumps(patch)}")

    def forbidden(self) -> list[Json]:
        """The requests of the operators, so far, that the API server refused with 403."""
        return [event for event in self.asked() if event["responseStatus"].get("code") == 403]

    def asked(self) -> list[Json]:
        """Every request of the operators so far (audit events)."""
        return self.cluster.requests_of(self.namespace, ACCOUNT)

    def check_logs(self) -> None:
        """Neither mistakes nor secrets are in what operators wrote."""
        for operator in self.operators:
            assert [word for word in NEVER_LOGGED if word in operator.log()] == [], operator.log()[-5000:]


def ours(pod: Json) -> Mapping[str, str]:
    """Our annotations of a Pod, without the prefix."""
    annotations: Mapping[str, str] = pod["metadata"].get("annotations") or {}
    return {key.removeprefix(PREFIX): text for key, text in annotations.items() if key.startswith(PREFIX)}


@contextlib.contextmanager
def site(cluster: ControlPlane, namespace: str, folder: Path, *, router: str) -> Iterator[Site]:
    """The site, with other people's records and rules in its Cloudflare; no operator is left when the context ends."""
    cluster.kubectl("create", "serviceaccount", ACCOUNT, "--namespace", namespace)
    cluster.kubectl("apply", "--filename", "-", stdin=rendered(namespace))
    world = World(zone_name=DOMAIN, quota=3_500)
    seed_foreign(world)
    with cloudflare(world) as running:
        here = Site(cluster, namespace, running, router, folder)
        try:
            yield here
            here.check_logs()
        finally:
            for operator in here.operators:
                operator.program.kill()
