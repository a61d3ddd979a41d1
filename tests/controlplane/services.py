"""What answers behind Traefik: every Service of every namespace, played by one server that says what reached it.

`traefik.py` starts it and makes it Traefik's way out: Traefik believes it has a SOCKS5 proxy, and asks it for
`oauth2-proxy-users.oauth2-proxy.svc:80`. So the routes can name the ports of production (80), which this machine may
have given to somebody else or keep for root, no name has to resolve, and nothing leaves the loopback interface.
"""

import contextlib
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

BY_NAME = 3  # SOCKS5 address types, RFC 1928
ACCEPTED = b"\x05\x00\x00\x01" + bytes(6)  # version, success, reserved, an address that no client looks at


def external_service(namespace: str, name: str, port: int = 80) -> dict[str, Any]:
    """The manifest of a Service without Pods behind it, whom Traefik reaches as `NAME.NAMESPACE.svc:PORT`."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"type": "ExternalName", "externalName": f"{name}.{namespace}.svc", "ports": [{"port": port}]},
    }


class _Service(http.server.BaseHTTPRequestHandler):
    """One connection: first the SOCKS5 greeting that names the Service, then that Service's HTTP."""

    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            self.service = self._greet()
            super().handle()

    def _greet(self) -> str:
        _version, methods = self.rfile.read(2)
        self.rfile.read(methods)
        self.wfile.write(b"\x05\x00")
        *_, kind, length = self.rfile.read(5)
        assert kind == BY_NAME, "Traefik asks for the Service by name"
        name = self.rfile.read(length).decode()
        port = int.from_bytes(self.rfile.read(2), "big")
        self.wfile.write(ACCEPTED)
        return f"{name}:{port}"

    def do_GET(self) -> None:
        seen = {"service": self.service, "path": self.path, "headers": dict(self.headers)}
        body = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silence: the answer says it all."""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """A connection that Traefik drops in the middle is no news."""


@contextlib.contextmanager
def service_network() -> Iterator[str]:
    """The address (`socks5://…`) of the proxy behind which every Service answers."""
    with _Server(("127.0.0.1", 0), _Service) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"socks5://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
