"""What a person sees: `kubectl describe pod` when all is well, when it is tried again, when somebody has to act."""

from typing import Any

import pytest

from sandbox.cloudflare.switchboard import Switchboard
from tests.cluster.described import check_page, stable
from tests.cluster.manifests import hostname, pod_name
from tests.cluster.site import Site
from tests.controlplane import wait_for

SESSION = "8b6cc2aa9a45"
BAD_GATEWAY = {"match": {"path": ".*/dns_records.*"}, "status": {"code": 502, "message": "Bad Gateway"}}


@pytest.fixture
def described(site: Site) -> Any:
    """describe(reason): the Pod of the session, once an Event with this reason is there."""

    def describe(reason: str) -> str:
        def look() -> str | None:
            text = site.kubectl("describe", "pod", pod_name(SESSION))
            return text if f" {reason} " in text.partition("Events:")[2] else None

        site.start()
        site.create(SESSION)
        return stable(wait_for(look, what=f"kubectl describe shows {reason}"), site.namespace)

    return describe


def test_ready(described: Any) -> None:
    check_page("ready", described("Ready"))


def test_a_retry(site: Site, described: Any) -> None:
    site.cloudflare.break_with(BAD_GATEWAY)
    check_page("retry", described("CloudflareError"))
    site.cloudflare.break_with()
    site.wait_until([SESSION])


def test_a_failure_that_lasts_until_a_person_acts(site: Site, described: Any) -> None:
    record = {"type": "A", "name": hostname(SESSION), "content": "192.0.2.7", "ttl": 300}

    def occupy(board: Switchboard) -> str:
        return str(board.world.records.create(record, "2026-01-01T00:00:00Z").body["result"]["id"])

    key = site.cloudflare.ask(occupy)
    check_page("permanent-failure", described("RecordConflict"))
    site.cloudflare.ask(lambda board: board.world.records.delete(key))
    site.wait_until([SESSION])
