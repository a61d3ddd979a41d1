"""What was written to Cloudflare stands in the log: it keeps no history itself."""

import logging
from typing import Any

import pytest

from fsm.errors import PermanentError
from tests.cloudflare_ops.api import SERVICE, FakeApi, failing, host, instead, lost
from tests.cloudflare_ops.operator import running
from tests.k8s.virtual import now, virtual


def _told(caplog: pytest.LogCaptureFixture, message: str, *fields: str) -> list[tuple[Any, ...]]:
    records = [record for record in caplog.records if record.getMessage() == message]
    return [tuple(getattr(record, field) for field in fields) for record in records]


@virtual
async def test_each_batch_is_told_with_its_names(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(FakeApi()) as operator:
        await operator.ensure(1)
        await operator.ensure(1)  # is there: nothing is written, nothing is told
        await operator.remove(1)
    assert _told(caplog, "DNS records written", "kind", "names") == [("posts", [host(1)]), ("deletes", [host(1)])]


@virtual
async def test_each_write_of_the_tunnel_is_told_with_both_versions_and_the_rules(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    api = FakeApi()
    async with running(api) as operator:
        first = api.version
        await operator.ensure_rule(1)
        await operator.ensure_rule(1)
        await operator.dns.look(now())  # no record of anybody's: the rule is ours
        await operator.remove_rule(1)
    rule = f"{host(1)} -> {SERVICE}"
    assert _told(caplog, "tunnel configuration written", "read", "version", "added", "removed") == [
        (first, first + 1, [rule], []),
        (first + 1, first + 2, [], [rule]),
    ]


@virtual
async def test_a_write_without_a_useful_reply_is_told_as_one_in_doubt(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    api = FakeApi()
    api.script("POST batch", lost)
    api.script("PUT configurations", lost)
    async with running(api) as operator:
        first = api.version
        await operator.ensure(1)
        await operator.ensure_rule(1)
    doubt = ", or not: no useful reply"
    assert _told(caplog, f"DNS records written{doubt}", "kind", "names") == [("posts", [host(1)])]
    added = [(first, None, [f"{host(1)} -> {SERVICE}"])]
    assert _told(caplog, f"tunnel configuration written{doubt}", "read", "version", "added") == added


@virtual
async def test_what_was_refused_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    api = FakeApi()
    api.script("POST batch", instead(failing(400, 1004)))
    api.script("PUT configurations", instead(failing(400, 1056)))
    async with running(api) as operator:
        with pytest.raises(PermanentError):
            await operator.ensure(1)
        with pytest.raises(PermanentError):
            await operator.ensure_rule(1)
    assert [record for record in caplog.records if record.name == "cloudflare_ops.journal"] == []
