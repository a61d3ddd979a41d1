"""Whether the world is exactly what it should be: nothing missing, nothing left, each rule where it is reached."""

from collections.abc import Collection
from typing import Any

from fsm.desired import Route, desired
from fsm.session import OWNER_LABEL, hash_of_hostname, hash_of_route
from sandbox.stage import DOMAIN, Stage
from tests.journey import play


async def assert_exact(stage: Stage, live: Collection[str]) -> None:
    """These sessions have precisely what `fsm.desired` says, and no other session has anything."""
    wanted = [desired(session, play.profile(stage)) for session in live]
    records = [record for record in stage.world.records.all() if hash_of_hostname(str(record["name"]))]
    assert sorted((record["name"], record["content"], record["proxied"]) for record in records) == sorted(
        (record.name, record.content, True) for each in wanted for record in each.records
    )
    assert {record["comment"] for record in records} <= {
        "managed by opencode-cloudflare-operator; owner=opencode-router;"
    }
    rules = [rule for rule in stage.rules() if hash_of_hostname(str(rule.get("hostname")))]
    assert sorted(rules, key=str) == sorted(
        ({"hostname": rule.hostname, "service": rule.service} for each in wanted for rule in each.rules), key=str
    )
    wildcard = next(place for place, rule in enumerate(stage.rules()) if rule.get("hostname") == f"*.{DOMAIN}")
    # The wildcard with a path is the first of the two: a rule behind it would miss requests below that path.
    assert all(place < wildcard for place, rule in enumerate(stage.rules()) if rule in rules)
    routes = {name: route for name, route in (await stage.kube.routes()).items() if hash_of_route(name)}
    assert routes.keys() == {route.name for each in wanted for route in each.routes}
    for each in wanted:
        for route in each.routes:
            _assert_applied(routes[route.name], route)


def _assert_applied(found: Any, wanted: Route) -> None:
    assert found["spec"] == wanted.manifest["spec"]
    labels = found["metadata"]["labels"]
    assert {key: labels.get(key) for key in wanted.manifest["metadata"]["labels"]} == wanted.manifest["metadata"][
        "labels"
    ]
    assert labels[OWNER_LABEL]
