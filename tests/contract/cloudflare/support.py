"""A plain HTTP client for the suite, and the records and documents that its tests make."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from sandbox.cloudflare.server import Places, running
from sandbox.cloudflare.switchboard import Switchboard
from sandbox.cloudflare.world import TOKEN, World

Json = dict[str, Any]

CATCH_ALL: Json = {"service": "http_status:404"}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: Any
    headers: Any

    @property
    def refusal(self) -> tuple[int, int]:
        """Status and code of the first error."""
        return self.status, self.body["errors"][0]["code"]

    @property
    def chain(self) -> list[int]:
        """The codes behind the first error."""
        return [error["code"] for error in self.body["errors"][0]["error_chain"]]

    @property
    def result(self) -> Any:
        """What a success holds."""
        assert self.status == 200, self.body
        return self.body["result"]

    @property
    def names(self) -> list[str]:
        """The first labels of a list of records."""
        return [record["name"].partition(".")[0] for record in self.result]


class Api:
    """One running API."""

    def __init__(self, http: aiohttp.ClientSession, places: Places, switchboard: Switchboard) -> None:
        self.http = http
        self.places = places
        self.switchboard = switchboard
        self.world = switchboard.world
        self.zone = f"/zones/{self.world.zone_id}"
        self.records = f"{self.zone}/dns_records"
        self.batch = f"{self.records}/batch"
        self.tunnel = f"/accounts/{self.world.account_id}/cfd_tunnel/{self.world.tunnel_id}"
        self.document = f"{self.tunnel}/configurations"

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str = TOKEN,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request to the API."""
        sent = {"Authorization": f"Bearer {token}"} if headers is None else headers
        return await self._send(method, self.places.api + path, body, query=query, headers=sent)

    async def turn(self, method: str, knob: str, body: object = None) -> Answer:
        """One request to the sandbox's own knobs."""
        return await self._send(method, f"{self.places.control}/{knob}", body, query=None, headers={})

    async def make(self, name: str, **others: Any) -> Json:
        """A record that exists from now on."""
        return dict((await self.ask("POST", self.records, cname(name, **others))).result)

    async def find(self, **query: str) -> Answer:
        """A list of records; `name_exact` becomes `name.exact`."""
        named = {re.sub("^(name|content|comment|tag)_(?!match)", r"\1.", key): value for key, value in query.items()}
        return await self.ask("GET", self.records, query=named)

    async def configure(self, *rules: Json, **others: Any) -> Answer:
        """PUT a whole document with these rules in front of a catch-all."""
        return await self.ask("PUT", self.document, {"config": {"ingress": [*rules, CATCH_ALL], **others}})

    async def _send(
        self, method: str, url: str, body: object, *, query: dict[str, str] | None, headers: dict[str, str]
    ) -> Answer:
        async with self.http.request(method, url, json=body, params=query, headers=headers) as reply:
            return Answer(reply.status, await reply.json(), reply.headers)


@asynccontextmanager
async def serving(world: World | None = None) -> AsyncIterator[Api]:
    """An API of one's own."""
    switchboard = Switchboard(world or World())
    async with running(switchboard.world, switchboard=switchboard) as places, aiohttp.ClientSession() as http:
        yield Api(http, places, switchboard)


def cname(name: str, **others: Any) -> Json:
    """A record to be made; without a dot in it `name` is below the zone."""
    full = name if "." in name else f"{name}.example.org"
    return {"type": "CNAME", "name": full, "content": "target.example.net", "ttl": 1, **others}


def address(name: str, content: str = "192.0.2.1") -> Json:
    """An A record."""
    return cname(name, type="A", content=content)


def rule(hostname: str = "a.example.org", service: str = "http://origin:80", **others: Any) -> Json:
    """An ingress rule."""
    return {"hostname": hostname, "service": service, **others}
