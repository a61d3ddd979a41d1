"""A real Traefik that reads its routes from the control plane and sends requests to the Services of `services.py`.

Tests ask it as a browser would, through the Cloudflare edge or directly: `proxy.get(host, path)`.
"""

import contextlib
import http.client
import json
import socket
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.controlplane.process import Program, find_ports, wait_for
from tests.controlplane.server import ControlPlane
from tests.controlplane.services import service_network

TRAEFIK = Path(sysconfig.get_path("scripts")) / "traefik"


@dataclass(frozen=True)
class Answer:
    """What came back; of a 200, what the Service behind the route saw.

    service: `NAME.NAMESPACE.svc:PORT`, empty when Traefik answered by itself.
    path: with the query. headers: as they reached the Service, `Host` among them.
    """

    status: int
    service: str = ""
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Proxy:
    """A running Traefik. url: of its entry point `web`. log: the file it writes to, JSON lines from level INFO on."""

    url: str
    log: Path

    def get(self, host: str, path: str = "/") -> Answer:
        """Ask for a path of a hostname. 404: no route of this host (yet)."""
        with contextlib.closing(http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=10)) as connection:
            connection.request("GET", path, headers={"Host": host})
            response = connection.getresponse()
            body = response.read()
        is_service = response.status == 200
        return Answer(response.status, **(json.loads(body) if is_service else {}))

    def reach(self, host: str, path: str = "/") -> Answer:
        """The first answer that a Service gives: Traefik hears of a route a moment after it was made.

        Raises:
            TimeoutError: there was none.
        """

        def look() -> Answer | None:
            answer = self.get(host, path)
            return answer if answer.service else None

        return wait_for(look, what=f"a Service answers for {host}{path}")


@contextlib.contextmanager
def traefik(cluster: ControlPlane, *, cross_namespace: bool) -> Iterator[Proxy]:
    """Traefik on this control plane, for all of its namespaces; gone when the context ends.

    cross_namespace: whether a route may name Services and middlewares of another namespace (`allowCrossNamespace`,
    off by default in Traefik, needed for the sign-in route).
    """
    with service_network() as network, tempfile.TemporaryDirectory(prefix="traefik-") as folder:
        (port,) = find_ports(1)
        proxy = Proxy(url=f"http://127.0.0.1:{port}", log=Path(folder) / "traefik.log")
        command: list[str | Path] = [TRAEFIK, *_flags(cluster, port, cross_namespace=cross_namespace)]
        # nothing but this: a KUBECONFIG of the person at the keyboard would win over the flags
        program = Program(command, log=proxy.log, env={"HTTP_PROXY": network})
        try:
            program.start(lambda: _listens(port))
            yield proxy
        finally:
            program.kill()


def _flags(cluster: ControlPlane, port: int, *, cross_namespace: bool) -> list[str]:
    provider: dict[str, Any] = {
        "endpoint": cluster.url,
        "token": cluster.token,
        "certauthfilepath": cluster.ca_file,
        "allowcrossnamespace": cross_namespace,
        "allowexternalnameservices": True,
    }
    return [
        f"--entrypoints.web.address=127.0.0.1:{port}",
        "--providers.providersthrottleduration=50ms",  # 2 s by default
        *(f"--providers.kubernetescrd.{name}={value}" for name, value in provider.items()),
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--log.level=INFO",
        "--log.format=json",
    ]


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
