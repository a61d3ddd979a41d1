"""What a session looks like outside, to the letter."""

from dataclasses import replace

from fsm.desired import DnsRecord, TunnelRule, desired
from fsm.session import hash_of_hostname, hash_of_route
from tests.builders import HASH, PROFILE, WANTED


def test_a_session_wants_a_record_that_leads_to_the_tunnel() -> None:
    target = "01234567-89ab-cdef-0123-456789abcdef.cfargotunnel.com"
    assert WANTED.records == (DnsRecord("8b6cc2aa9a45-oc.no-panic.org", target),)


def test_a_session_wants_a_rule_that_leads_to_the_router() -> None:
    service = "http://opencode-router.opencode-router.svc.cluster.local:80"
    assert WANTED.rules == (TunnelRule("8b6cc2aa9a45-oc.no-panic.org", service),)


def test_the_sign_in_route_is_the_one_that_the_original_operator_made() -> None:
    sign_in, _ = WANTED.routes
    assert (sign_in.name, sign_in.namespace) == ("opencode-session-8b6cc2aa9a45-oc-signin", "opencode-router")
    assert sign_in.manifest == {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "IngressRoute",
        "metadata": {
            "name": "opencode-session-8b6cc2aa9a45-oc-signin",
            "namespace": "opencode-router",
            "labels": {
                "app.kubernetes.io/managed-by": "opencode-cloudflare-operator",
                "cloudflare.opencode.ai/owner": "opencode-router",
                "opencode.ai/session-hash": "8b6cc2aa9a45",
            },
        },
        "spec": {
            "entryPoints": ["web"],
            "routes": [
                {
                    "kind": "Rule",
                    "match": "Host(`8b6cc2aa9a45-oc.no-panic.org`) && PathPrefix(`/oauth2/`)",
                    "services": [{"name": "oauth2-proxy-users", "namespace": "oauth2-proxy", "port": 80}],
                }
            ],
        },
    }


def test_the_app_route_goes_through_the_chain_to_the_router() -> None:
    _, app = WANTED.routes
    assert app.name == "opencode-session-8b6cc2aa9a45-oc-app"
    assert app.manifest["spec"] == {
        "entryPoints": ["web"],
        "routes": [
            {
                "kind": "Rule",
                "match": "Host(`8b6cc2aa9a45-oc.no-panic.org`)",
                "priority": 1,
                "middlewares": [{"name": "opencode-router-oauth2-chain", "namespace": "opencode-router"}],
                "services": [{"name": "opencode-router", "namespace": "opencode-router", "port": 80}],
            }
        ],
    }


def test_service_and_middleware_are_looked_for_where_the_routes_are() -> None:
    _, app = desired(HASH, replace(PROFILE, route_namespace="edge", router_service="r", middleware="m")).routes
    (rule,) = app.manifest["spec"]["routes"]
    assert app.namespace == app.manifest["metadata"]["namespace"] == "edge"
    assert rule["services"] == [{"name": "r", "namespace": "edge", "port": 80}]
    assert rule["middlewares"] == [{"name": "m", "namespace": "edge"}]


def test_the_owner_is_a_label() -> None:
    for route in desired(HASH, replace(PROFILE, owner="team-b")).routes:
        assert route.manifest["metadata"]["labels"]["cloudflare.opencode.ai/owner"] == "team-b"


def test_without_a_suffix_names_have_no_gap() -> None:
    wanted = desired(HASH, replace(PROFILE, suffix=""))
    assert wanted.hostname == "8b6cc2aa9a45.no-panic.org"
    assert [route.name for route in wanted.routes] == [
        "opencode-session-8b6cc2aa9a45-signin",
        "opencode-session-8b6cc2aa9a45-app",
    ]


def test_every_name_leads_back_to_the_session() -> None:
    names = {hash_of_hostname(item.name) for item in WANTED.records}
    names |= {hash_of_hostname(rule.hostname) for rule in WANTED.rules}
    names |= {hash_of_route(route.name) for route in WANTED.routes}
    assert names == {HASH}


def test_two_answers_share_nothing_that_can_be_changed() -> None:
    one, other = desired(HASH, PROFILE), desired(HASH, PROFILE)
    one.routes[0].manifest["spec"]["routes"][0]["services"][0]["port"] = 1
    one.routes[0].manifest["metadata"]["labels"].clear()
    assert other == WANTED == desired(HASH, PROFILE)
