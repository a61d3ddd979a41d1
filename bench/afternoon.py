"""The obvious way, as somebody would write it in an afternoon: one session at a time, the libraries' typed calls.

`rows` starts it in the operator's place (`python -m bench.afternoon`, same environment) and counts the same things. It
only brings sessions up: no removal, no second replica, no drift, nothing after an error but a crash. One error is
excepted: it is too slow for the watch of 1,000 sessions, which has expired when the last one is up.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from cloudflare import Cloudflare
from kubernetes import client, config, watch

NAMESPACE = os.environ["WATCH_NAMESPACE"]
ZONE, TUNNEL = os.environ["CF_ZONE_ID"], os.environ["CF_TUNNEL_ID"]
SERVICE = os.environ["ROUTER_SERVICE_URL"]
SELECTOR = "app.kubernetes.io/managed-by=opencode-router"
GONE = 410  # the server does not remember what came after the last event that was read
GROUP, VERSION, ROUTES = "traefik.io", "v1alpha1", "ingressroutes"


class Afternoon:
    """All clients, and the steps of one session."""

    def __init__(self) -> None:
        load: Callable[[], None] = config.load_kube_config
        load()
        self.core = client.CoreV1Api()
        self.custom = client.CustomObjectsApi()
        self.events = client.EventsV1Api()
        self.cloudflare = Cloudflare(api_token=os.environ["CF_API_TOKEN"], base_url=os.environ["CLOUDFLARE_BASE_URL"])
        zone: Any = self.cloudflare.zones.get(zone_id=ZONE)
        self.account = zone.account.id

    def run(self) -> None:
        """Bring up every session there is and will be."""
        while True:
            try:
                self.follow()
            except client.ApiException as error:
                if error.status != GONE:
                    raise

    def follow(self) -> None:
        """One watch: it begins with all there is."""
        changes: Any = watch.Watch
        for event in changes().stream(self.core.list_namespaced_pod, NAMESPACE, label_selector=SELECTOR):
            pod = event["object"]
            state = (pod.metadata.annotations or {}).get("cloudflare.opencode.ai/state")
            if event["type"] == "ADDED" and state != "Ready":
                self.bring_up(pod)

    def bring_up(self, pod: Any) -> None:
        """One session, step by step."""
        session = pod.metadata.labels["opencode.ai/session-hash"]
        host = f"{session}{os.environ['ROUTE_SUFFIX']}.{os.environ['DOMAIN']}"
        self.tell(pod, "Pending")
        self.ensure_record(host)
        self.tell(pod, "DnsCreated")
        self.ensure_rule(host)
        self.tell(pod, "TunnelRuleAdded")
        self.create_route(session, "app", f"Host(`{host}`)", "opencode-router", NAMESPACE)
        self.create_route(
            session, "signin", f"Host(`{host}`) && PathPrefix(`/oauth2/`)", "oauth2-proxy-users", "oauth2-proxy"
        )
        self.tell(pod, "RoutesCreated")
        self.tell(pod, "Ready")
        self.post_event(pod, f"https://{host} is ready")

    def tell(self, pod: Any, state: str) -> None:
        """Write the state to the Pod."""
        body = {"metadata": {"annotations": {"cloudflare.opencode.ai/state": state}}}
        self.core.patch_namespaced_pod_status(pod.metadata.name, NAMESPACE, body)

    def ensure_record(self, host: str) -> None:
        """Look for the record by its name, and create it if there is none."""
        if not list(self.cloudflare.dns.records.list(zone_id=ZONE, name={"exact": host})):
            self.cloudflare.dns.records.create(
                zone_id=ZONE, type="CNAME", name=host, content=f"{TUNNEL}.cfargotunnel.com", ttl=1, proxied=True
            )

    def ensure_rule(self, host: str) -> None:
        """Read the tunnel's whole document and write it back with the rule in front."""
        configurations = self.cloudflare.zero_trust.tunnels.cloudflared.configurations
        found: Any = configurations.get(TUNNEL, account_id=self.account)
        document = found.config.to_dict()
        document["ingress"].insert(0, {"hostname": host, "service": SERVICE})
        configurations.update(TUNNEL, account_id=self.account, config=document)

    def create_route(self, session: str, kind: str, match: str, service: str, namespace: str) -> None:
        """Create one IngressRoute."""
        rule = {"kind": "Rule", "match": match, "services": [{"name": service, "namespace": namespace, "port": 80}]}
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "IngressRoute",
            "metadata": {"name": f"opencode-session-{session}-oc-{kind}"},
            "spec": {"entryPoints": ["web"], "routes": [rule]},
        }
        self.custom.create_namespaced_custom_object(GROUP, VERSION, NAMESPACE, ROUTES, body)

    def post_event(self, pod: Any, note: str) -> None:
        """Tell people that it is done."""
        regarding = client.V1ObjectReference(
            api_version="v1", kind="Pod", name=pod.metadata.name, namespace=NAMESPACE, uid=pod.metadata.uid
        )
        event = client.EventsV1Event(
            metadata=client.V1ObjectMeta(generate_name="ready-"),
            event_time=datetime.now(UTC),
            regarding=regarding,
            reason="Ready",
            note=note,
            type="Normal",
            action="Ready",
            reporting_controller="afternoon",
            reporting_instance="afternoon",
        )
        self.events.create_namespaced_event(NAMESPACE, event)


if __name__ == "__main__":
    Afternoon().run()
