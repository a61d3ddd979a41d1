"""The zone's records: list with its filters, single calls and the batch, which is all or nothing. Pure.

Called by `world`; the time of a change is an argument, ids are counted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sandbox.cloudflare.envelope import Json, RefusedError, Reply, parsed, success
from sandbox.cloudflare.filters import bad_query, selection
from sandbox.cloudflare.validation import Plan, check_record

DEFAULT_PAGE, LARGEST_PAGE = 100, 5_000_000
_ORDERS = ("type", "name", "content", "ttl", "proxied")
_FIELDS = ("type", "name", "content", "proxied", "ttl", "comment", "tags", "settings", "priority", "data")
# What a PUT leaves as it is.
_LASTING = ("id", "created_on", "comment_modified_on", "tags_modified_on")
# An address or an alias excludes every other alias at its name.
_ADDRESSES = frozenset({"A", "AAAA", "CNAME"})
# A record that nobody has commented on or tagged.
_BARE: Json = {"comment": None, "tags": []}


class Records:
    """The records of one zone; `quota` is how many it takes."""

    def __init__(self, zone: str, plan: Plan, quota: int) -> None:
        self.zone = zone
        self.plan = plan
        self.quota = quota
        self._records: dict[str, Json] = {}
        self._names: dict[str, set[str]] = {}
        self._count = 0

    def all(self) -> list[Json]:
        """Every record, oldest first."""
        return list(self._records.values())

    def at(self, name: str) -> list[Json]:
        """The records of this name."""
        return [self._records[key] for key in sorted(self._names.get(name, ()))]

    def list(self, query: Mapping[str, str]) -> Reply:
        """`GET …/dns_records`."""
        found = _ordered(filter(selection(query), self._records.values()), query)
        page, size = _number(query, "page", 1), min(_number(query, "per_page", DEFAULT_PAGE), LARGEST_PAGE)
        part = found[(page - 1) * size : page * size]
        info = {"page": page, "per_page": size, "count": len(part), "total_count": len(found)}
        return success([dict(record) for record in part], result_info=info | {"total_pages": -(-len(found) // size)})

    def usage(self) -> Reply:
        """`GET …/dns_records/usage`."""
        return success({"record_quota": self.quota, "record_usage": len(self._records)})

    def get(self, key: str) -> Reply:
        """`GET …/dns_records/{id}`."""
        return success(dict(self._known(key)))

    def create(self, body: Any, now: str) -> Reply:
        """`POST …/dns_records`."""
        return success(self._post(parsed(body), now))

    def patch(self, key: str, body: Any, now: str) -> Reply:
        """`PATCH …/dns_records/{id}`: what is not named stays."""
        return success(self._patch({**parsed(body), "id": key}, now))

    def put(self, key: str, body: Any, now: str) -> Reply:
        """`PUT …/dns_records/{id}`: what is not named gets its default."""
        return success(self._put({**parsed(body), "id": key}, now))

    def delete(self, key: str) -> Reply:
        """`DELETE …/dns_records/{id}`: the one reply without `success`."""
        self._delete({"id": key})
        return Reply(200, {"result": {"id": key}})

    def batch(self, body: Any, now: str) -> Reply:
        """`POST …/dns_records/batch`: deletes, patches, puts, posts, in this order, all or nothing."""
        wishes = {kind: _entries(parsed(body).get(kind)) for kind in ("deletes", "patches", "puts", "posts")}
        steps: dict[str, Callable[[Json], Json]] = {
            "deletes": self._delete,
            "patches": lambda entry: self._patch(entry, now),
            "puts": lambda entry: self._put(entry, now),
            "posts": lambda entry: self._post(entry, now),
        }
        if sum(map(len, wishes.values())) > self.plan.batch:
            raise RefusedError(400, 9207, f"A batch may hold at most {self.plan.batch} operations.")
        before = dict(self._records)
        try:
            return success({kind: [steps[kind](entry) for entry in entries] for kind, entries in wishes.items()})
        except RefusedError:
            self._records, self._names = before, {}
            for record in before.values():
                self._list(record)
            raise

    def _post(self, body: Json, now: str) -> Json:
        record = {**_defaults(body), "ttl": body.get("ttl")}
        check_record(record, self.zone, self.plan)
        self._check_free(record)
        if len(self._records) >= self.quota:
            raise RefusedError(400, 81045, "The record quota has been exceeded.")
        self._count += 1
        return self._store({"id": f"{self._count:032x}", "created_on": now, **record}, now)

    def _patch(self, body: Json, now: str) -> Json:
        old = self._known(body.get("id"))
        return self._replace(old, {**old, **{key: body[key] for key in _FIELDS if key in body}}, now)

    def _put(self, body: Json, now: str) -> Json:
        old = self._known(body.get("id"))
        kept = {key: old[key] for key in _LASTING if key in old}
        return self._replace(old, {**kept, **_defaults(body)}, now)

    def _replace(self, old: Json, new: Json, now: str) -> Json:
        new["name"] = str(new["name"]).lower()
        check_record(new, self.zone, self.plan)
        self._check_free(new)
        self._names[old["name"]].remove(old["id"])
        return self._store(new, now, old)

    def _delete(self, body: Json) -> Json:
        record = self._known(body.get("id"))
        del self._records[record["id"]]
        self._names[record["name"]].remove(record["id"])
        return dict(record)

    def _store(self, record: Json, now: str, old: Json = _BARE) -> Json:
        record = {**record, "comment": record["comment"] or None, "tags": record["tags"] or []}
        changes = {f"{field}_modified_on": now for field in _BARE if record[field] != old[field]}
        stored = {**record, "proxiable": record["type"] in _ADDRESSES, "meta": {}, "modified_on": now, **changes}
        self._records[stored["id"]] = stored
        self._list(stored)
        return dict(stored)

    def _list(self, record: Json) -> None:
        self._names.setdefault(record["name"], set()).add(record["id"])

    def _known(self, key: Any) -> Json:
        record = self._records.get(key) if isinstance(key, str) else None
        if record is None:
            raise RefusedError(404, 81044, "Record does not exist.")
        return record

    def _check_free(self, record: Json) -> None:
        kind = record["type"]
        for other in self.at(record["name"]):
            if other["id"] == record.get("id"):
                continue
            if kind == "CNAME" and other["type"] in _ADDRESSES:
                # Also for an identical one: the API does not say "identical" about a CNAME.
                raise RefusedError(400, 81053, "An A, AAAA, or CNAME record with that host already exists.")
            if other["type"] == "CNAME" and kind in _ADDRESSES:
                raise RefusedError(400, 81054, "A CNAME record with that host already exists.")
            if (other["type"], other["content"]) == (kind, record["content"]):
                raise RefusedError(400, 81058, "An identical record already exists.")


def _defaults(body: Json) -> Json:
    given = {key: body[key] for key in _FIELDS if key in body}
    basic: Json = {"proxied": False, "ttl": 1, "comment": None, "tags": [], "settings": {}}
    return {**basic, **given, "name": str(given.get("name", "")).lower()}


def _entries(value: Any) -> Sequence[Json]:
    if value is not None and not isinstance(value, list):
        raise RefusedError(400, 6007, "Malformed JSON in request body")
    return [parsed(entry) for entry in value or ()]


def _ordered(records: Iterable[Json], query: Mapping[str, str]) -> Sequence[Json]:
    """Oldest first, if nothing else is asked for."""
    order, direction = query.get("order"), query.get("direction", "asc")
    if order not in (None, *_ORDERS):
        raise bad_query("order")
    if direction not in ("asc", "desc"):
        raise bad_query("direction")
    if order is None:
        return list(records)
    return sorted(records, key=lambda record: record[order], reverse=direction == "desc")


def _number(query: Mapping[str, str], key: str, default: int) -> int:
    text = query.get(key, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise bad_query(key)
    return int(text)
