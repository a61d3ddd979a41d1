"""deploy/ on a real API server: accepted without a warning, enough for everything, and nothing too much."""

import functools
import json
import re

import yaml

from tests.cluster.manifests import new_hash, pod_name, rendered, sidecar_pod
from tests.cluster.site import LEASE, Json, Operator, Site
from tests.controlplane import ControlPlane, wait_for
from tests.deploy.test_manifests import OVERLAY, REPOSITORY

Right = tuple[str, str, str]  # group, resource with subresource, verb


def rights_of_roles(namespace: str) -> set[Right]:
    """Every single right that deploy/ gives."""
    roles = (item for item in yaml.safe_load_all(rendered(namespace)) if item["kind"] == "Role")
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def rights_used(site: Site) -> set[Right]:
    """Every right that the operators made use of."""
    return {right for event in site.asked() for right in rights_of_request(event)}


def rights_of_request(event: Json) -> list[Right]:
    """What a request took: to apply what is not there yet is to create it as well."""
    thing = event["objectRef"]
    resource = "/".join(filter(None, (thing["resource"], thing.get("subresource"))))
    has_created = event["verb"] == "patch" and event["responseStatus"].get("code") == 201
    verbs = [event["verb"], *(["create"] if has_created else [])]
    return [(thing.get("apiGroup", ""), resource, verb) for verb in verbs]


def test_the_manifests_are_accepted_without_a_warning(cluster: ControlPlane, namespace: str) -> None:
    how = ("--dry-run=server", "--warnings-as-errors", "--namespace", namespace, "--filename", "-")
    cluster.kubectl("apply", *how, stdin=rendered(namespace))


def test_without_kustomize_the_sidecar_comes_and_goes_by_readmes_patches(cluster: ControlPlane, namespace: str) -> None:
    """To take it away and add it again is also how probes and environment are upgraded."""

    def containers(*patch: str) -> list[str]:
        told = cluster.kubectl("-n", namespace, "patch", "deployment", "opencode-router", *patch, "--output=json")
        return [container["name"] for container in json.loads(told.stdout)["spec"]["template"]["spec"]["containers"]]

    router = (OVERLAY / "router.yaml").read_text().replace("namespace: opencode-router", f"namespace: {namespace}")
    cluster.kubectl("apply", "--filename", "-", stdin=router)
    add = ("--type", "json", "--patch-file", str(REPOSITORY / "deploy/sidecar.yaml"))
    (away,) = re.findall(r"--patch \\\n +'(.+)'$", (REPOSITORY / "README.md").read_text(), re.MULTILINE)
    both = ["router", "cloudflare-operator"]
    assert [containers(*add), containers("--patch", away), containers(*add)] == [both, ["router"], both]


def test_a_pod_of_the_routers_template_is_restricted_enough(cluster: ControlPlane, namespace: str) -> None:
    pod = sidecar_pod(namespace, "opencode-router-0")
    how = ("--dry-run=server", "--warnings-as-errors", "--filename", "-")
    cluster.kubectl("create", *how, stdin=json.dumps(pod))
    del pod["spec"]["containers"][-1]["securityContext"]
    refused = cluster.kubectl("create", *how, stdin=json.dumps(pod), check=False)
    assert 'violates PodSecurity "restricted' in refused.stderr
    assert 'container "cloudflare-operator"' in refused.stderr


def test_the_roles_are_enough_for_everything_and_hold_nothing_too_much(site_without_watchlist: Site) -> None:
    """On an older server, which takes every right: one that streams lists is asked for a list now and then only."""
    site, session, orphan = site_without_watchlist, new_hash(), new_hash()
    operator = site.start()
    site.create(session, orphan)
    site.wait_until([session, orphan])
    lose_a_route(site, session)
    lose_the_tunnel(site, operator)
    operator.program.terminate()
    site.delete(orphan)  # nobody sees it go
    site.start(ORPHAN_GRACE="600")
    sweep_by_hand(site, orphan)
    meet_somebody_in_the_act(site)
    site.delete(session)
    site.wait_until_clean()
    assert site.forbidden() == []
    assert rights_used(site) == rights_of_roles(site.namespace)


def test_without_its_rights_it_stops_and_with_them_it_goes_on(site: Site) -> None:
    """What README says to do when it has to stop at once, while the router in the same Pod goes on."""
    operator, session, late = site.start(), new_hash(), new_hash()
    site.create(session)
    site.wait_until([session])
    there = site.left()
    site.kubectl("delete", "rolebinding", LEASE)
    wait_for(lambda: operator.health()["role"] == "standby", what="it does not lead any more")
    site.create(late)
    site.delete(session)
    before = len(site.forbidden())
    wait_for(lambda: len(site.forbidden()) > before + 5, what="it has tried again and again")
    assert site.left() == there
    assert "KubernetesForbidden" in operator.problems()
    site.cluster.kubectl("apply", "--filename", "-", stdin=rendered(site.namespace))
    site.wait_until([late])
    wait_for(lambda: not any(session in name for name in site.left()), what="what ended meanwhile is removed")


def lose_a_route(site: Site, session: str) -> None:
    """It is made again, and the Event that says so is the one from before, counted."""
    site.kubectl("delete", "ingressroute", f"{pod_name(session)}-oc-app")
    wait_for(
        lambda: " Ready " in site.kubectl("describe", "pod", pod_name(session)).partition("(x2 over")[0],
        what="Ready for the second time",
    )


def lose_the_tunnel(site: Site, operator: Operator) -> None:
    """That concerns everybody: an Event of the operator's own Pod, for which it reads that Pod."""
    site.cloudflare.ask(lambda board: setattr(board.world.tunnel, "source", "local"))
    wait_for(
        lambda: "TunnelLocallyManaged" in site.kubectl("describe", "pod", operator.name), what="the Event is there"
    )
    site.cloudflare.ask(lambda board: setattr(board.world.tunnel, "source", "cloudflare"))
    wait_for(lambda: not operator.problems(), what="the trouble is over", within=90)


def sweep_by_hand(site: Site, orphan: str) -> None:
    """Look first, then have the leader do it."""
    looked = site.sweep("--dry-run")
    assert (looked.returncode, looked.stderr) == (0, "")
    assert f"{orphan}  " in looked.stdout
    assert "1 of 2 sessions of ours have no Pod" in looked.stdout
    assert site.sweep("--force").stdout == f"{orphan}\n1 sessions released for removal\n"
    wait_for(lambda: not any(orphan in name for name in site.left()), what="the orphan is gone")


def meet_somebody_in_the_act(site: Site) -> None:
    """A route changes so fast that the operator, about to delete it, does not know it as it is, and has to read it."""
    routes = f"/apis/traefik.io/v1alpha1/namespaces/{site.namespace}/ingressroutes"

    def is_over(session: str) -> bool:
        return has_read() or not any(session in name for name in site.routes())

    def has_read() -> bool:
        return ("traefik.io", "ingressroutes", "get") in rights_used(site)

    while not has_read():
        session = new_hash()
        site.create(session)
        site.wait_until([session])
        with site.touching(f"{routes}/{pod_name(session)}-oc-app"):
            site.delete(session)
            wait_for(functools.partial(is_over, session), what="the operator has read it, or was lucky")
