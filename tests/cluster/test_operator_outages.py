"""API server, Cloudflare and rights go away under a running operator: sessions catch up by themselves.

`cutpoints/test_standstill.py` has two operators, and what is killed under them.
"""

import pytest

from tests.cluster.manifests import new_hash, pod_name
from tests.cluster.site import Json, Site
from tests.controlplane import wait_for


def rules_of(site: Site, role: str) -> list[Json]:
    """The rules of a Role as deploy/ has them."""
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{site.namespace}/roles/{role}"
    rules: list[Json] = site.get(path)["rules"]
    return rules


def without(rules: list[Json], resource: str) -> list[Json]:
    """The rules that do not speak of this resource."""
    return [rule for rule in rules if resource not in rule["resources"]]


ROLE = "opencode-cloudflare-operator"


def test_a_leader_that_hears_nothing_stops_before_its_lease_is_over_and_goes_on_afterwards(site: Site) -> None:
    operator = site.start()
    session = new_hash()
    site.create(session)
    site.wait_until([session])
    with site.cluster.pause_apiserver():
        wait_for(lambda: operator.health()["role"] == "standby", what="the leader stops")
        assert "lease" in operator.health()["problems"]
    wait_for(lambda: operator.health()["role"] == "leader", what="it leads again")
    site.delete(session)
    site.wait_until_clean()


def test_started_while_the_api_server_is_down_it_waits_for_it(site: Site) -> None:
    session = new_hash()
    site.create(session)
    environment = site.environment("opencode-router-0")
    site.cluster.kill_apiserver()
    try:
        operator = site.launch("opencode-router-0", environment)
        wait_for(lambda: "KubernetesUnavailable" in operator.problems(), what="/healthz says so")
    finally:
        site.cluster.start_apiserver()
    site.wait_until([session])


def test_started_while_cloudflare_is_down_it_waits_for_it(site: Site) -> None:
    site.cloudflare.ask(lambda board: setattr(board, "is_down", True))
    session = new_hash()
    operator = site.start()
    site.create(session)
    wait_for(lambda: "CloudflareUnreachable" in operator.problems(), what="/healthz says so")
    site.cloudflare.ask(lambda board: setattr(board, "is_down", False))
    site.wait_until([session])
    wait_for(lambda: not operator.problems(), what="the trouble is over")


def test_without_the_right_to_write_annotations_nothing_crashes_and_it_is_told(site: Site) -> None:
    rules = rules_of(site, ROLE)
    site.restrict(ROLE, *without(rules, "pods/status"))
    operator = site.start()
    session = new_hash()
    site.create(session)
    wait_for(
        lambda: "KubernetesForbidden: the operator may not patch pods/status" in operator.problems(),
        what="/healthz names the right",
    )
    assert f"Grant patch on pods/status in namespace {site.namespace}" in operator.problems()
    wait_for(lambda: "KubernetesForbidden" in site.kubectl("describe", "pod", operator.name), what="the Event is there")
    site.restrict(ROLE, *rules)
    site.wait_until([session])
    wait_for(lambda: not operator.problems(), what="the trouble is over")


def test_without_the_right_to_make_events_everything_else_works(site: Site) -> None:
    site.restrict(ROLE, *without(rules_of(site, ROLE), "events"))
    operator = site.start()
    session = new_hash()
    site.create(session)
    site.wait_until([session])
    wait_for(lambda: "may not create events" in operator.problems(), what="/healthz names the right")
    site.delete(session)
    site.wait_until_clean()


@pytest.mark.parametrize("resource", ["pods", "leases"])
def test_without_a_right_that_everything_needs_it_waits_and_tells(site: Site, resource: str) -> None:
    rules = rules_of(site, ROLE)
    site.restrict(ROLE, *without(rules, resource))
    operator = site.start()
    session = new_hash()
    site.create(session)
    wait_for(lambda: "KubernetesForbidden" in operator.problems(), what="/healthz names the right")
    assert resource in operator.problems()
    site.restrict(ROLE, *rules)
    site.wait_until([session])


def test_without_rights_on_routes_a_session_waits_at_its_rule_and_tells(site: Site) -> None:
    role = f"{ROLE}-routes"
    rules = rules_of(site, role)
    site.restrict(role, *({**rule, "verbs": ["get", "list", "watch"]} for rule in rules))
    site.start()
    session = new_hash()
    site.create(session)
    wait_for(lambda: "KubernetesForbidden" in site.records().get(session, {}).get("last-error", ""), what="it is told")
    assert site.records()[session]["state"] == "TunnelRuleAdded"
    assert "patch ingressroutes" in site.kubectl("describe", "pod", pod_name(session))
    site.restrict(role, *rules)
