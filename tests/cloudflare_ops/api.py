"""A small Cloudflare behind the transport seam, with faults by script."""

import asyncio
import copy
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from cloudflare_ops.ownership import render
from cloudflare_ops.transport import NoReplyError, Reply
from fsm.desired import DnsRecord, TunnelRule
from fsm.session import Profile
from tests.k8s.virtual import now

DOMAIN = "example.org"
TARGET = "6ff42ae2-765d-4adf-8112-31c55c1551ef.cfargotunnel.com"
SERVICE = "http://router.svc:80"
PROFILE = Profile(
    domain=DOMAIN,
    suffix="-oc",
    service=SERVICE,
    tunnel_target=TARGET,
    route_namespace="ns",
    router_service="router",
    middleware="chain",
    owner="team-a",
    previous_owners=("old-a",),
)
MARK = render("team-a")
CATCH_ALL = {"service": "http_status:404"}


def session(number: int) -> str:
    return f"{number:012x}"


def host(number: int) -> str:
    return f"{session(number)}-oc.{DOMAIN}"


def record(number: int) -> DnsRecord:
    return DnsRecord(host(number), TARGET)


def rule(number: int, service: str = SERVICE) -> TunnelRule:
    return TunnelRule(host(number), service)


def written(number: int, service: str = SERVICE) -> dict[str, Any]:
    return {"hostname": host(number), "service": service}


Fault = Callable[["FakeApi", Callable[[], Reply]], Any]


def failing(status: int, code: int = 0, message: str = "no", **headers: str) -> Reply:
    return Reply(status, headers, {"success": False, "errors": [{"code": code, "message": message}], "result": None})


def instead(reply: Reply) -> Fault:
    """The request has no effect, and this is the reply."""
    return lambda api, carry_out: reply


def afterwards(reply: Reply) -> Fault:
    """The request has its effect, but this is the reply."""

    def fault(api: "FakeApi", carry_out: Callable[[], Reply]) -> Reply:
        carry_out()
        return reply

    return fault


def lost(api: "FakeApi", carry_out: Callable[[], Reply]) -> Reply:
    """The request has its effect, the reply is lost."""
    carry_out()
    raise NoReplyError(sent=True)


def unreachable(api: "FakeApi", carry_out: Callable[[], Reply]) -> Reply:
    """The request never leaves."""
    raise NoReplyError(sent=False)


async def hangs(api: "FakeApi", carry_out: Callable[[], Reply]) -> Reply:
    """No reply, ever."""
    await asyncio.sleep(3600)
    raise AssertionError("the client waited for an hour")


def first(act: Callable[["FakeApi"], None]) -> Fault:
    """Somebody else does this just before the request arrives."""

    def fault(api: "FakeApi", carry_out: Callable[[], Reply]) -> Reply:
        act(api)
        return carry_out()

    return fault


class FakeApi:
    """Zone, records and the tunnel's document; `script` gives the next requests of a kind their faults."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.config: dict[str, Any] | None = {"ingress": [CATCH_ALL], "warp-routing": {"enabled": False}}
        self.version = 1
        self.source = "cloudflare"
        self.quota = 10_000
        self.page = 5000
        self.latency = 0.1
        self.zone_name = DOMAIN
        self.calls: list[tuple[str, Any]] = []
        self.times: list[float] = []
        self._faults: dict[str, deque[Fault]] = {}
        self._count = 0
        self.on_call: Callable[[], None] = lambda: None

    def script(self, kind: str, *faults: Fault) -> None:
        self._faults.setdefault(kind, deque()).extend(faults)

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.calls]

    def add(self, name: str, content: str = TARGET, comment: str = MARK, **others: Any) -> str:
        self._count += 1
        key = f"{self._count:032x}"
        basic = {"id": key, "type": "CNAME", "name": name, "content": content, "proxied": True, "comment": comment}
        self.records[key] = {**basic, **others}
        return key

    def names(self) -> list[str]:
        return sorted(entry["name"] for entry in self.records.values())

    def comment(self, number: int) -> str:
        return next(str(entry["comment"]) for entry in self.records.values() if entry["name"] == host(number))

    @property
    def ingress(self) -> list[Any]:
        assert self.config is not None
        return list(self.config["ingress"])

    def write(self, config: Mapping[str, Any]) -> None:
        self.config = copy.deepcopy(dict(config))
        self.version += 1

    async def request(
        self, method: str, path: str, params: Mapping[str, Any] | None, body: Any, timeout: float
    ) -> Reply:
        kind = f"{method} {path.rsplit('/', 1)[1]}" if path.count("/") > 2 else f"{method} zone"
        self.calls.append((kind, copy.deepcopy(body)))
        self.times.append(now())
        self.on_call()
        await asyncio.sleep(self.latency / 2)
        faults = self._faults.get(kind)
        carry_out = partial(self._answer, kind, params or {}, copy.deepcopy(body))
        reply = faults.popleft()(self, carry_out) if faults else carry_out()
        if asyncio.iscoroutine(reply):
            reply = await reply
        await asyncio.sleep(self.latency / 2)
        assert isinstance(reply, Reply)
        return reply

    def _answer(self, kind: str, params: Mapping[str, Any], body: Any) -> Reply:
        match kind:
            case "GET zone":
                return _fine({"name": self.zone_name, "account": {"id": "acc"}})
            case "GET dns_records":
                return self._list(params)
            case "POST batch":
                return self._batch(body)
            case "GET configurations":
                return self._document()
            case "PUT configurations":
                return self._put(body["config"])
        raise AssertionError(kind)

    def _list(self, params: Mapping[str, Any]) -> Reply:
        start = (params["page"] - 1) * params["per_page"]
        rows = list(self.records.values())
        page = copy.deepcopy(rows[start : start + params["per_page"]])
        return _fine(page, result_info={"total_count": len(rows), "count": len(page)})

    def _batch(self, body: Mapping[str, list[dict[str, Any]]]) -> Reply:
        assert not (body.get("deletes") and body.get("posts")), "deletes never go out in one batch with posts"
        before = copy.deepcopy(self.records)
        try:
            return _fine(
                {
                    "deletes": [self._delete(item) for item in body.get("deletes", ())],
                    "patches": [self._patch(item) for item in body.get("patches", ())],
                    "posts": [self._post(item) for item in body.get("posts", ())],
                }
            )
        except _RefusalError as refusal:
            self.records = before
            return refusal.reply

    def _delete(self, item: dict[str, Any]) -> dict[str, Any]:
        if item["id"] not in self.records:
            raise _RefusalError(failing(404, 81044, "Record does not exist."))
        return self.records.pop(item["id"])

    def _patch(self, item: dict[str, Any]) -> dict[str, Any]:
        if item["id"] not in self.records:
            raise _RefusalError(failing(404, 81044, "Record does not exist."))
        self.records[item["id"]].update(item)
        return dict(self.records[item["id"]])

    def _post(self, item: dict[str, Any]) -> dict[str, Any]:
        if "bad" in item["name"]:
            raise _RefusalError(failing(400, 1004, "DNS Validation Error"))
        if any(entry["name"] == item["name"] for entry in self.records.values()):
            raise _RefusalError(failing(400, 81053, "An A, AAAA, or CNAME record with that host already exists."))
        if len(self.records) >= self.quota:
            raise _RefusalError(failing(400, 81045, "The record quota has been exceeded."))
        return dict(self.records[self.add(**item)])

    def _document(self) -> Reply:
        return _fine({"version": self.version, "source": self.source, "config": copy.deepcopy(self.config)})

    def _put(self, config: dict[str, Any]) -> Reply:
        rules = config["ingress"]
        if not rules or rules[-1].get("hostname") or any("bad" in str(rule.get("hostname")) for rule in rules):
            return failing(400, 1056, "Bad Configuration: Validation failed")
        self.write(config)
        return self._document()


class _RefusalError(Exception):
    def __init__(self, reply: Reply) -> None:
        self.reply = reply


def _fine(result: Any, **others: Any) -> Reply:
    return Reply(200, {}, {"success": True, "errors": [], "messages": [], "result": result, **others})
