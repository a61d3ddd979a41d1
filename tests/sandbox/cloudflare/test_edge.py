"""The way of a visitor: record, tunnel, first matching rule, service."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiohttp import web

from tests.contract.cloudflare.support import CATCH_ALL, Api, address, rule


@dataclass(frozen=True)
class Visit:
    status: int
    text: str
    why: str
    cookies: list[str]


async def visit(api: Api, host: str, path: str = "/", method: str = "GET", body: str = "") -> Visit:
    async with api.http.request(
        method, api.places.edge + path, headers={"Host": host}, data=body or None, allow_redirects=False
    ) as reply:
        why = reply.headers.get("x-sandbox-edge", "")
        return Visit(reply.status, await reply.text(), why, reply.headers.getall("Set-Cookie", []))


async def point(api: Api, name: str, **others: object) -> None:
    """A record that leads to the tunnel."""
    target = {"content": f"{api.world.tunnel_id}.cfargotunnel.com", "proxied": True}
    await api.make(name, **{**target, **others})


@pytest.fixture
async def origin() -> AsyncIterator[str]:
    """A service that tells what reached it."""

    async def answer(request: web.Request) -> web.Response:
        told = f"{request.method} {request.headers['Host']} {request.path_qs} {await request.text()}".strip()
        response = web.Response(status=302, text=told, headers={"Location": "/elsewhere"})
        response.headers.add("Set-Cookie", "one=1")
        response.headers.add("Set-Cookie", "two=2")
        return response

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_request_reaches_the_service_and_its_answer_the_visitor(api: Api, origin: str) -> None:
    await point(api, "a")
    await api.configure(rule("a.example.org", origin))
    seen = await visit(api, "a.example.org", "/x/y?z=1", "POST", "body")
    assert (seen.status, seen.text) == (302, "POST a.example.org /x/y?z=1 body")
    assert (seen.cookies, seen.why) == (["one=1", "two=2"], "")


async def test_a_name_without_a_record_has_no_answer_even_with_a_rule(api: Api) -> None:
    await api.configure(rule("a.example.org", "http_status:200"))
    seen = await visit(api, "a.example.org")
    assert (seen.status, seen.text, seen.why) == (530, "error code: 1016", "no-record")


async def test_a_record_without_a_rule_gets_the_catch_all(api: Api) -> None:
    await point(api, "a")
    await api.configure(rule("b.example.org", "http_status:200"))
    seen = await visit(api, "a.example.org")
    assert (seen.status, seen.why) == (404, "http-status")


async def test_a_tunnel_without_a_configuration_is_unavailable(api: Api) -> None:
    await point(api, "a")
    seen = await visit(api, "a.example.org")
    assert (seen.status, seen.why) == (503, "no-configuration")


@pytest.mark.parametrize(
    "others",
    [
        {"proxied": False},
        {"content": "11111111-2222-3333-4444-555555555555.cfargotunnel.com"},
        {"content": "target.example.net"},
        {"type": "A", "content": "192.0.2.1"},
    ],
    ids=["not proxied", "another account's tunnel", "another host", "an address"],
)
async def test_only_a_proxied_alias_of_a_tunnel_of_the_account_leads_anywhere(
    api: Api, others: dict[str, object]
) -> None:
    await point(api, "a", **others)
    await api.configure(rule("a.example.org", "http_status:200"))
    seen = await visit(api, "a.example.org")
    assert (seen.status, seen.why) == (530, "no-tunnel")


async def test_a_deleted_tunnel_leads_nowhere(api: Api) -> None:
    await point(api, "a")
    await api.configure(rule("a.example.org", "http_status:200"))
    api.world.tunnel.is_deleted = True
    assert (await visit(api, "a.example.org")).why == "no-tunnel"


@pytest.mark.parametrize("host", ["a.example.org", "deep.a.example.org"])
async def test_a_wildcard_record_answers_for_names_below_it(api: Api, host: str) -> None:
    await point(api, "*.example.org")
    await api.configure(rule(host, "http_status:201"))
    assert (await visit(api, host)).status == 201
    assert (await visit(api, "example.org")).why == "no-record"


async def test_any_record_of_the_very_name_hides_the_wildcard(api: Api) -> None:
    await point(api, "*.example.org")
    await api.make("a", type="TXT", content="mine")
    await api.configure(rule("a.example.org", "http_status:201"))
    assert (await visit(api, "a.example.org")).why == "no-tunnel"
    assert (await visit(api, "b.a.example.org")).why == "no-record"


async def test_the_first_rule_that_matches_wins(api: Api) -> None:
    await point(api, "*.example.org")
    rules = [
        rule("a.example.org", "http_status:201", path="^/in/"),
        rule("a.example.org", "http_status:202"),
        rule("", "http_status:203", path="/any$"),
        rule("*.example.org", "http_status:204"),
        rule("late.example.org", "http_status:205"),
    ]
    await api.configure(*rules)
    visits = [
        ("a.example.org", "/in/side", 201),
        ("a.example.org", "/out/in/", 202),
        ("A.Example.ORG", "/", 202),
        ("b.example.org", "/what/any", 203),
        ("b.example.org", "/any/thing", 204),
        ("c.b.example.org", "/", 204),
        ("late.example.org", "/", 204),
    ]
    assert [(host, path, (await visit(api, host, path)).status) for host, path, _ in visits] == visits


async def test_a_wildcard_rule_is_not_for_the_name_above(api: Api) -> None:
    for name in ("example.org", "a.example.org"):
        await point(api, name)
    await api.configure(rule("*.example.org", "http_status:201"))
    assert [(await visit(api, name)).status for name in ("example.org", "a.example.org")] == [404, 201]


async def test_a_service_that_is_not_there_is_a_bad_gateway(api: Api) -> None:
    await point(api, "a")
    await api.configure(rule("a.example.org", "http://127.0.0.1:1"))
    seen = await visit(api, "a.example.org")
    assert (seen.status, seen.why) == (502, "no-origin")


async def test_the_edge_sees_what_the_api_wrote_at_once(api: Api) -> None:
    await api.ask("PUT", api.document, {"config": {"ingress": [CATCH_ALL]}})
    await point(api, "a")
    assert (await visit(api, "a.example.org")).status == 404
    record = api.world.records.all()[0]
    await api.ask("DELETE", f"{api.records}/{record['id']}")
    assert (await visit(api, "a.example.org")).why == "no-record"
    await api.ask("POST", api.records, address("a"))
    assert (await visit(api, "a.example.org")).why == "no-tunnel"
