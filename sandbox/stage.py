"""Everything on one loopback: both APIs, the edge, a stub of the router, and operators as processes of their own.

The demo tells its story on it, and the journey tests play theirs. Servers run in this process (their worlds can be read
and changed directly), operators do not: they can be killed.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from aiohttp import web

from fsm.session import hash_of_hostname, hash_of_route
from sandbox import operators
from sandbox.cloudflare import server as cloudflare_server
from sandbox.cloudflare import world as cloudflare_world
from sandbox.cloudflare.server import Places
from sandbox.cloudflare.switchboard import Switchboard
from sandbox.cloudflare.world import World
from sandbox.kubeclient import NAMESPACE, KubeClient
from sandbox.kubernetes import server as kubernetes_server
from sandbox.operators import Replica

DOMAIN = "example.org"
SUFFIX = "-oc"


@dataclass
class Stage:
    """The running servers; `operators` grows with each start."""

    cloudflare: Places
    switchboard: Switchboard
    kube_url: str
    kube: KubeClient
    router: str
    folder: Path
    http: aiohttp.ClientSession
    operators: list[Replica] = field(default_factory=list)

    @property
    def world(self) -> World:
        """Cloudflare's side of the world."""
        return self.switchboard.world

    def environment(self, **changes: str) -> dict[str, str]:
        """What an operator is started with."""
        return {
            "CF_API_TOKEN": cloudflare_world.TOKEN,
            "CF_ZONE_ID": self.world.zone_id,
            "CF_TUNNEL_ID": self.world.tunnel_id,
            "CLOUDFLARE_BASE_URL": self.cloudflare.api,
            "DOMAIN": DOMAIN,
            "ROUTE_SUFFIX": SUFFIX,
            "ROUTER_SERVICE_URL": self.router,
            "WATCH_NAMESPACE": NAMESPACE,
            "KUBECONFIG": str(self.kubeconfig()),
            "HEALTH_HOST": "127.0.0.1",
            "HEALTH_PORT": "0",
            "LEASE_DURATION": "3",
            "RESYNC_INTERVAL": "2",
            "ORPHAN_GRACE": "3",
            "LOG_FORMAT": "json",
            **changes,
        }

    def kubeconfig(self) -> Path:
        """A kubeconfig of the Kubernetes API, for operators and for people."""
        path = self.folder / "kubeconfig"
        context = {"cluster": "sandbox", "user": "sandbox", "namespace": NAMESPACE}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "sandbox", "cluster": {"server": self.kube_url}}],
            "users": [{"name": "sandbox", "user": {}}],
            "contexts": [{"name": "sandbox", "context": context}],
            "current-context": "sandbox",
        }
        path.write_text(json.dumps(config))
        return path

    async def start(self, name: str, **changes: str) -> Replica:
        """Start one more operator."""
        environment = self.environment(POD_NAME=name, **changes)
        replica = await operators.start(name, environment, self.folder)
        self.operators.append(replica)
        return replica

    async def leader(self) -> Replica | None:
        """The operator that holds the lease, if it is one of ours and runs."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/opencode-cloudflare-operator"
        try:
            lease = await self.kube.request("GET", path)
        except RuntimeError:
            return None
        holder = str(lease["spec"].get("holderIdentity") or "").rpartition("_")[0]
        return next((replica for replica in self.operators if replica.name == holder and replica.is_running), None)

    async def visit(self, session: str, path: str = "/") -> tuple[int, str]:
        """A browser's request for the session's hostname, by way of the edge; status and body."""
        headers = {"Host": f"{session}{SUFFIX}.{DOMAIN}"}
        async with self.http.get(self.cloudflare.edge + path, headers=headers) as reply:
            return reply.status, await reply.text()

    def rules(self) -> list[dict[str, Any]]:
        """The tunnel's rules."""
        return list((self.world.tunnel.config or {}).get("ingress") or ())

    async def left(self) -> list[str]:
        """Every object that belongs to some session, wherever it is."""
        records = [str(record["name"]) for record in self.world.records.all()]
        rules = [str(rule.get("hostname")) for rule in self.rules()]
        routes = [name for name in await self.kube.routes() if hash_of_route(name)]
        return [f"record {name}" for name in records if hash_of_hostname(name)] + [
            *(f"rule {name}" for name in rules if hash_of_hostname(name)),
            *(f"route {name}" for name in routes),
        ]

    async def foreign(self) -> str:
        """Everything that belongs to no session, as one text: equal texts mean that nothing was touched."""
        records = [record for record in self.world.records.all() if not hash_of_hostname(str(record["name"]))]
        config = dict(self.world.tunnel.config or {})
        config["ingress"] = [rule for rule in self.rules() if not hash_of_hostname(str(rule.get("hostname")))]
        routes = {name: route for name, route in (await self.kube.routes()).items() if not hash_of_route(name)}
        return json.dumps([records, config, routes], sort_keys=True)


@asynccontextmanager
async def running(world: World | None = None, *, cloudflare_port: int = 0, kube_port: int = 0) -> AsyncIterator[Stage]:
    """The stage without operators; every server and operator is gone when the block ends."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="opencode-sandbox-")))
        switchboard = Switchboard(world or World(zone_name=DOMAIN))
        places = await stack.enter_async_context(
            cloudflare_server.running(switchboard.world, port=cloudflare_port, switchboard=switchboard)
        )
        kube_url = await stack.enter_async_context(
            kubernetes_server.running(namespaces=[NAMESPACE, "oauth2-proxy"], port=kube_port)
        )
        router = await stack.enter_async_context(_router())
        http = await stack.enter_async_context(aiohttp.ClientSession())
        stage = Stage(places, switchboard, kube_url, KubeClient(http, kube_url), router, folder, http)
        await stack.enter_async_context(operators.ended(stage.operators))
        yield stage


@asynccontextmanager
async def _router() -> AsyncIterator[str]:
    """A stub of the router: tells which session a request is for, as the real one reads it from the Host header."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=f"router: session {hash_of_hostname(request.host)}, path {request.path}\n")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def seed_foreign(world: World) -> None:
    """What other people have in the zone and the tunnel: all sorts of records, wildcards, options, unknown fields."""
    now = "2026-01-01T00:00:00Z"
    for record in FOREIGN_RECORDS:
        world.records.create(dict(record), now)
    world.tunnel.configure(FOREIGN_TUNNEL, now)


FOREIGN_RECORDS: tuple[Mapping[str, Any], ...] = (
    {"type": "A", "name": f"www.{DOMAIN}", "content": "192.0.2.7", "ttl": 300, "comment": "the web site"},
    {"type": "TXT", "name": DOMAIN, "content": "v=spf1 -all", "ttl": 1},
    {"type": "MX", "name": DOMAIN, "content": f"mail.{DOMAIN}", "ttl": 1, "priority": 10},
    {
        "type": "CNAME",
        "name": f"grafana.{DOMAIN}",
        "content": f"{cloudflare_world.TUNNEL_ID}.cfargotunnel.com",
        "ttl": 1,
        "proxied": True,
        "comment": "managed by terraform",
    },
)
FOREIGN_TUNNEL: dict[str, Any] = {
    "ingress": [
        {
            "hostname": f"grafana.{DOMAIN}",
            "service": "https://grafana.monitoring:3000",
            "originRequest": {"noTLSVerify": True, "connectTimeout": 7, "someFutureField": {"deep": [1, 2]}},
        },
        {"hostname": f"*.{DOMAIN}", "path": "^/static/", "service": "http://static.web:80"},
        {"hostname": f"*.{DOMAIN}", "service": "http://traefik.traefik:80"},
        {"service": "http_status:404"},
    ],
    "originRequest": {"keepAliveTimeout": 91},
    "warp-routing": {"enabled": True, "maxActiveFlows": 5},
    "a-field-of-tomorrow": {"kept": True},
}
FOREIGN_ROUTE: Mapping[str, Any] = {
    "apiVersion": "traefik.io/v1alpha1",
    "kind": "IngressRoute",
    "metadata": {"name": "grafana", "namespace": NAMESPACE},
    "spec": {
        "entryPoints": ["web"],
        "routes": [
            {"kind": "Rule", "match": f"Host(`grafana.{DOMAIN}`)", "services": [{"name": "grafana", "port": 80}]}
        ],
    },
}
