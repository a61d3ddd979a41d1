"""Who plays, and what the operators are started with."""

from collections.abc import Mapping

from fsm.session import MANAGED_BY_LABEL
from sandbox.cloudflare import world as cloudflare_world
from sandbox.stage import DOMAIN

ROUTER = "opencode-router"
NEIGHBOUR, NEIGHBOUR_SERVICE = "dddddddddddd", "http://neighbour.svc:80"  # the session of the other instance
INVALID = "not-a-hash"  # a label that is no session's
HASHES = ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc")
CROWD = tuple(f"{number:012x}" for number in range(1, 9))  # more than the sweep's brake believes at once
FOREIGN_SERVICE = "http://foreign:80"
ENVIRONMENT = {
    "CF_API_TOKEN": cloudflare_world.TOKEN,
    "CF_ZONE_ID": cloudflare_world.ZONE_ID,
    "CF_TUNNEL_ID": cloudflare_world.TUNNEL_ID,
    "DOMAIN": DOMAIN,
    "ROUTE_SUFFIX": "-oc",
    "ROUTER_SERVICE_URL": "http://router.svc:80",
}
# Another instance on the same zone and tunnel, in the same namespace or in its own.
NEIGHBOURS: tuple[Mapping[str, str], ...] = (
    {
        "OWNER_ID": "neighbour",
        "LEASE_NAME": "neighbour",
        "POD_LABEL_SELECTOR": f"{MANAGED_BY_LABEL}=neighbour",
        "ROUTER_SERVICE_URL": NEIGHBOUR_SERVICE,
    },
    {"WATCH_NAMESPACE": "neighbours", "ROUTER_SERVICE_URL": NEIGHBOUR_SERVICE},
    # By mistake with our owner id: only the live Pods keep the two from taking each other's sessions for orphans.
    {
        "LEASE_NAME": "neighbour",
        "POD_LABEL_SELECTOR": f"{MANAGED_BY_LABEL}=neighbour",
        "ROUTER_SERVICE_URL": NEIGHBOUR_SERVICE,
    },
)
