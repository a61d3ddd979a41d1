"""Envelope, tokens and rights, and the rate limit."""

import re

import pytest

from sandbox.cloudflare.world import TOKEN, World
from tests.contract.cloudflare.support import Api, cname, rule, serving


async def test_a_success_comes_in_an_envelope(api: Api) -> None:
    answer = await api.ask("GET", api.zone)
    assert answer.status == 200
    assert (answer.body["success"], answer.body["errors"], answer.body["messages"]) == (True, [], [])


async def test_a_refusal_comes_in_an_envelope_without_a_result(api: Api) -> None:
    answer = await api.ask("GET", f"{api.records}/{'0' * 32}")
    assert answer.status == 404
    assert (answer.body["success"], answer.body["result"]) == (False, None)
    assert answer.body["errors"] == [{"code": 81044, "message": "Record does not exist."}]


async def test_the_zone_tells_its_account_and_name(api: Api) -> None:
    zone = (await api.ask("GET", api.zone)).result
    assert (zone["id"], zone["name"], zone["account"]["id"]) == (api.world.zone_id, "example.org", api.world.account_id)
    assert (zone["status"], zone["type"], zone["paused"], zone["plan"]["legacy_id"]) == (
        "active",
        "full",
        False,
        "free",
    )


@pytest.mark.parametrize(
    "path", ["/zones/", "/zones//dns_records", "/zones/nonsense", f"/zones/{'f' * 32}", "/nothing"]
)
async def test_a_bad_id_in_the_path_is_no_route_and_not_a_missing_record(api: Api, path: str) -> None:
    answer = await api.ask("GET", path)
    assert answer.refusal == (404, 7003)
    assert answer.chain == [7000]
    assert "perhaps your object identifier is invalid" in answer.body["errors"][0]["message"]


async def test_a_token_can_be_verified_and_tells_nothing_of_its_rights(api: Api) -> None:
    for token in (TOKEN, f"{TOKEN}-nothing"):
        result = (await api.ask("GET", "/user/tokens/verify", token=token)).result
        assert result.keys() == {"id", "status"}
        assert result["status"] == "active"


async def test_an_unknown_token_is_invalid_when_verified_and_refused_elsewhere(api: Api) -> None:
    assert (await api.ask("GET", "/user/tokens/verify", token="wrong")).refusal == (401, 1000)
    assert (await api.ask("GET", api.records, token="wrong")).refusal == (403, 9109)


@pytest.mark.parametrize("token", [TOKEN, "wrong"])
async def test_a_users_token_is_not_one_of_the_accounts(api: Api, token: str) -> None:
    path = f"/accounts/{api.world.account_id}/tokens/verify"
    assert (await api.ask("GET", path, token=token)).refusal == (401, 1000)


async def test_a_method_that_a_path_does_not_have_is_not_allowed_to_tokens(api: Api) -> None:
    answer = await api.ask("PUT", api.records, cname("a"))
    assert answer.refusal == (403, 10000)
    assert answer.body["errors"][0]["message"] == "PUT method not allowed for the api_token authentication scheme"


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer two words", "Basic abc", "Bearer caf\u00e9"])
async def test_a_malformed_authorization_header_is_a_bad_request(api: Api, value: str) -> None:
    answer = await api.ask("GET", api.records, headers={"Authorization": value})
    assert answer.refusal == (400, 6003)
    assert answer.chain == [6111]


@pytest.mark.parametrize(
    ("token", "allowed"),
    [
        ("read", {"zone", "list", "usage", "tunnel", "document", "connections"}),
        ("dns", {"zone", "list", "usage", "create", "batch"}),
        ("tunnel", {"tunnel", "document", "connections", "configure"}),
        ("nothing", set()),
    ],
)
async def test_a_token_is_refused_what_it_has_no_right_to(api: Api, token: str, allowed: set[str]) -> None:
    """Editing includes reading, and a right to the records is enough for the zone."""
    requests: dict[str, tuple[str, str, object]] = {
        "zone": ("GET", api.zone, None),
        "list": ("GET", api.records, None),
        "usage": ("GET", f"{api.records}/usage", None),
        "create": ("POST", api.records, cname("a")),
        "batch": ("POST", api.batch, {}),
        "tunnel": ("GET", api.tunnel, None),
        "connections": ("GET", f"{api.tunnel}/connections", None),
        "document": ("GET", api.document, None),
        "configure": ("PUT", api.document, {"config": {"ingress": [{"service": "http_status:404"}]}}),
    }
    answers = {name: await api.ask(*request, token=f"{TOKEN}-{token}") for name, request in requests.items()}
    assert {name for name, answer in answers.items() if answer.status == 200} == allowed
    assert {answer.refusal for name, answer in answers.items() if name not in allowed} <= {(403, 10000)}


async def test_a_refused_write_changes_nothing(api: Api) -> None:
    await api.ask("POST", api.records, cname("a"), token=f"{TOKEN}-read")
    await api.ask("PUT", api.document, {"config": {"ingress": [rule()]}}, token=f"{TOKEN}-read")
    assert api.world.records.all() == []
    assert api.world.tunnel.version == 0


async def test_every_answer_tells_what_is_left_of_the_rate_limit(api: Api) -> None:
    first, second = await api.ask("GET", api.zone), await api.ask("GET", f"{api.records}/{'0' * 32}")
    left = [re.fullmatch(r'"default";r=(\d+);t=\d+', answer.headers["Ratelimit"]) for answer in (first, second)]
    assert [match and match[1] for match in left] == ["1199", "1198"]
    assert first.headers["Ratelimit-Policy"] == '"default";q=1200;w=300'


async def test_one_request_too_many_is_refused_and_told_when_to_come_back() -> None:
    async with serving(World(rate_limit=2)) as api:
        statuses = [(await api.ask("GET", api.zone)).status for _ in range(2)]
        answer = await api.ask("GET", api.zone)
        assert statuses == [200, 200]
        assert answer.refusal == (429, 971)
        assert 299 <= int(answer.headers["Retry-After"]) <= 300
        assert answer.headers["Ratelimit"].startswith('"default";r=0;')


async def test_a_rate_limited_write_has_no_effect_and_other_tokens_go_on() -> None:
    async with serving(World(rate_limit=1)) as api:
        await api.make("a")
        assert (await api.ask("POST", api.records, cname("b"))).status == 429
        assert len(api.world.records.all()) == 1
        assert (await api.ask("GET", api.records, token=f"{TOKEN}-dns")).names == ["a"]
