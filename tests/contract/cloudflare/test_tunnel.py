"""The tunnel and its configuration: whole documents, versions, and what a document may say."""

from typing import Any

import pytest

from tests.contract.cloudflare.support import CATCH_ALL, Api, rule


async def test_a_tunnel_that_was_never_configured_has_version_0_and_no_document(api: Api) -> None:
    result = (await api.ask("GET", api.document)).result
    assert (result["version"], result["config"], result["source"]) == (0, None, "cloudflare")
    assert (result["account_id"], result["tunnel_id"]) == (api.world.account_id, api.world.tunnel_id)


async def test_each_put_answers_with_the_next_version(api: Api) -> None:
    versions = [(await api.configure(rule())).result["version"] for _ in range(3)]
    assert versions == [1, 2, 3]
    assert (await api.ask("GET", api.document)).result["version"] == 3


async def test_created_at_is_the_time_of_the_version(api: Api) -> None:
    stamps = [(await api.configure(rule())).result["created_at"] for _ in range(2)]
    assert stamps[0] < stamps[1] == (await api.ask("GET", api.document)).result["created_at"]


async def test_a_put_replaces_the_whole_document(api: Api) -> None:
    await api.configure(rule("a.example.org"), originRequest={"connectTimeout": 5})
    await api.configure(rule("b.example.org"))
    config = (await api.ask("GET", api.document)).result["config"]
    assert config == {"ingress": [rule("b.example.org"), CATCH_ALL], "warp-routing": {"enabled": False}}


async def test_a_document_comes_back_with_every_field_that_was_sent(api: Api) -> None:
    options = {"connectTimeout": 7, "noTLSVerify": True, "tomorrow": {"deep": [1, None]}}
    sent = {
        "ingress": [rule("a.example.org", path="^/x", originRequest=options, unknown=None), CATCH_ALL],
        "originRequest": {"keepAliveTimeout": 91},
        "warp-routing": {"enabled": True, "maxActiveFlows": 5},
        "unknown": [1, {"x": None}],
    }
    answer = await api.ask("PUT", api.document, {"config": sent})
    assert answer.result["config"] == sent
    assert (await api.ask("GET", api.document)).result["config"] == sent


async def test_nothing_keeps_a_writer_from_overwriting_what_it_has_not_read(api: Api) -> None:
    await api.configure(rule("mine.example.org"))
    await api.configure(rule("theirs.example.org"))
    headers = {"Authorization": "Bearer sandbox-token", "If-Match": '"1"'}
    body = {"config": {"ingress": [CATCH_ALL]}}
    assert (await api.ask("PUT", api.document, body, headers=headers)).result["version"] == 3


VALID = [
    rule("*.example.org"),
    rule("*.a.example.org", path="^/static/"),
    rule("", path="/x"),
    rule("*", path="/x"),
    rule(service="https://origin"),
    rule(service="http://10.0.0.1:8080"),
    rule(service="http://[::1]:8080"),
    rule(service="tcp://origin:22"),
    rule(service="unix:/run/app.sock"),
    rule(service="unix+tls:/run/app.sock"),
    rule(service="hello_world"),
    rule(service="http_status:999"),
]


@pytest.mark.parametrize("valid", VALID, ids=str)
async def test_a_rule_that_cloudflared_takes_is_taken(api: Api, valid: dict[str, Any]) -> None:
    assert (await api.configure(valid)).result["config"]["ingress"] == [valid, CATCH_ALL]


INVALID = [
    (rule(service=""), "service"),
    (rule(service="origin:80"), "scheme and a hostname"),
    (rule(service="origin"), "scheme and a hostname"),
    (rule(service="http://"), "scheme and a hostname"),
    (rule(service="http://origin:80 "), "scheme and a hostname"),
    (rule(service="http://origin:port"), "scheme and a hostname"),
    (rule(service="http://origin/"), "different path"),
    (rule(service="http://origin:80/path"), "different path"),
    (rule(service="http_status:99"), "invalid HTTP status code"),
    (rule(service="http_status:1000"), "invalid HTTP status code"),
    (rule(service="http_status:x"), "invalid HTTP status code"),
    (rule("a.example.org:443"), "cannot contain a port"),
    (rule("a.*.example.org"), "can only be used for subdomains"),
    (rule("*-oc.example.org"), "can only be used for subdomains"),
    (rule("*.*.example.org"), "can only be used for subdomains"),
    (rule(path="*"), "invalid regex"),
    (rule(path="("), "invalid regex"),
    (rule(path="(?=x)"), "invalid regex"),
    (rule(path=r"(x)\1"), "invalid regex"),
    (rule(""), "matching the hostname ''"),
    (rule("*"), "matching the hostname '*'"),
]


@pytest.mark.parametrize(("invalid", "text"), INVALID, ids=str)
async def test_one_bad_rule_is_refused_with_the_whole_document(api: Api, invalid: dict[str, Any], text: str) -> None:
    await api.configure(rule("before.example.org"))
    answer = await api.configure(rule("good.example.org"), invalid)
    assert answer.refusal == (400, 1056)
    message = answer.body["errors"][0]["message"]
    assert message.startswith("Bad Configuration: Validation failed: ")
    assert text in message
    result = (await api.ask("GET", api.document)).result
    assert (result["version"], result["config"]["ingress"][0]["hostname"]) == (1, "before.example.org")


@pytest.mark.parametrize("last", [rule("a.example.org"), rule("*.example.org"), rule("", path="/x")], ids=str)
async def test_the_last_rule_has_to_catch_all(api: Api, last: dict[str, Any]) -> None:
    answer = await api.ask("PUT", api.document, {"config": {"ingress": [rule("b.example.org"), last]}})
    assert answer.refusal == (400, 1056)
    assert "The last ingress rule must match all URLs" in answer.body["errors"][0]["message"]


@pytest.mark.parametrize("body", [{"config": {"ingress": []}}, {"config": {}}, {"config": None}, {}], ids=str)
async def test_a_document_without_rules_is_refused(api: Api, body: dict[str, Any]) -> None:
    answer = await api.ask("PUT", api.document, body)
    assert answer.refusal == (400, 1056)
    assert "doesn't contain any ingress rules" in answer.body["errors"][0]["message"]


async def test_a_locally_managed_tunnel_says_so(api: Api) -> None:
    api.world.tunnel.source = "local"
    assert (await api.ask("GET", api.document)).result["source"] == "local"
    assert (await api.ask("GET", api.tunnel)).result["config_src"] == "local"


async def test_a_deleted_tunnel_is_told_of_and_has_no_configuration(api: Api) -> None:
    assert (await api.ask("GET", api.tunnel)).result["deleted_at"] is None
    api.world.tunnel.is_deleted = True
    assert (await api.ask("GET", api.tunnel)).result["deleted_at"]
    assert (await api.ask("GET", api.document)).refusal == (404, 1055)
    assert (await api.configure(rule())).refusal == (404, 1055)


async def test_an_unknown_tunnel_is_not_found(api: Api) -> None:
    unknown = api.tunnel.replace(api.world.tunnel_id, "00000000-0000-0000-0000-000000000000")
    for path in (unknown, f"{unknown}/configurations", f"{unknown}/connections"):
        assert (await api.ask("GET", path)).status == 404
    assert (await api.ask("PUT", f"{unknown}/configurations", {"config": {"ingress": [CATCH_ALL]}})).status == 404


async def test_a_tunnel_tells_its_state_but_not_its_connections(api: Api) -> None:
    result = (await api.ask("GET", api.tunnel)).result
    assert (result["id"], result["status"], result["tun_type"]) == (api.world.tunnel_id, "inactive", "cfd_tunnel")
    assert result["account_tag"] == api.world.account_id
    assert "connections" not in result


async def test_the_connectors_are_a_list_of_their_own_without_a_version(api: Api) -> None:
    """`config_version` may be absent: nobody can wait for it."""
    assert (await api.ask("GET", f"{api.tunnel}/connections")).result == []
    connector = {"id": "c", "arch": "linux_amd64", "version": "2026.9.1", "features": [], "conns": []}
    api.world.tunnel.connectors.append(connector)
    assert (await api.ask("GET", f"{api.tunnel}/connections")).result == [connector]
    assert (await api.ask("GET", api.tunnel)).result["status"] == "healthy"
