"""The zone's records: list with its filters, single calls and the batch, which is all or nothing. Pure.

Called by `world`; the time of a change is an argument, ids are counted.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.cloudflare.envelope import Json, RefusedError, Reply, parsed, success
from sandbox.cloudflare.validation import Plan, check_record

DEFAULT_PAGE, LARGEST_PAGE = 100, 5_000_000
_ORDERS = ("type", "name", "content", "ttl", "proxied")
_FILTERS = ("name", "content", "comment", "tag")
_FIELDS = ("type", "name", "content", "proxied", "ttl", "comment", "tags", "settings", "priority", "data")
# An address or an alias excludes every other alias at its name.
_ADDRESSES = frozenset({"A", "AAAA", "CNAME"})
_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "exact": lambda text, wanted: text == wanted,
    "contains": lambda text, wanted: wanted in text,
    "startswith": lambda text, wanted: text.startswith(wanted),
    "endswith": lambda text, wanted: text.endswith(wanted),
}


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
        found = [record for record in self._records.values() if _is_selected(record, query)]
        if order := query.get("order"):
            if order not in _ORDERS:
                raise _bad_query("order")
            found.sort(key=lambda record: record[order], reverse=query.get("direction") == "desc")
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
        before = (dict(self._records), {name: set(keys) for name, keys in self._names.items()})
        try:
            return success({kind: [steps[kind](entry) for entry in entries] for kind, entries in wishes.items()})
        except RefusedError:
            self._records, self._names = before
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
        return self._replace(old, {"id": old["id"], "created_on": old["created_on"], **_defaults(body)}, now)

    def _replace(self, old: Json, new: Json, now: str) -> Json:
        new["name"] = str(new["name"]).lower()
        check_record(new, self.zone, self.plan)
        self._names[old["name"]].discard(old["id"])
        try:
            self._check_free(new)
        except RefusedError:
            self._names[old["name"]].add(old["id"])
            raise
        return self._store(new, now)

    def _delete(self, body: Json) -> Json:
        record = self._known(body.get("id"))
        del self._records[record["id"]]
        self._names[record["name"]].discard(record["id"])
        return dict(record)

    def _store(self, record: Json, now: str) -> Json:
        is_proxied = record["type"] in _ADDRESSES
        stored = {**record, "proxiable": is_proxied, "meta": {}, "modified_on": now}
        if stored.get("comment"):
            stored["comment_modified_on"] = now
        self._records[stored["id"]] = stored
        self._names.setdefault(stored["name"], set()).add(stored["id"])
        return dict(stored)

    def _known(self, key: Any) -> Json:
        record = self._records.get(key)
        if record is None:
            raise RefusedError(404, 81044, "Record does not exist.")
        return record

    def _check_free(self, record: Json) -> None:
        kind = record["type"]
        for other in self.at(record["name"]):
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


def _number(query: Mapping[str, str], key: str, default: int) -> int:
    text = query.get(key, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise _bad_query(key)
    return int(text)


def _bad_query(key: str) -> RefusedError:
    return RefusedError(400, 1004, "DNS Validation Error", chain=((9100, f"{key} is invalid"),))


def _is_selected(record: Json, query: Mapping[str, str]) -> bool:
    answers = [_fits(record, key, wanted) for key, wanted in query.items() if _is_filter(key)]
    return any(answers) if answers and query.get("match") == "any" else all(answers)


def _is_filter(key: str) -> bool:
    return key in ("type", "proxied") or key.partition(".")[0] in _FILTERS


def _fits(record: Json, key: str, wanted: str) -> bool:
    field, _, test = key.partition(".")
    if field == "tag":
        return _has_tag(record, test, wanted)
    value = record.get(field)
    if field == "proxied":
        return bool(value) == (wanted.lower() == "true")
    if test in ("present", "absent"):
        return bool(value) == (test == "present")
    if test and test not in _TESTS:
        raise _bad_query(key)
    return _TESTS[test or "exact"](str(value or "").lower(), wanted.lower())


def _has_tag(record: Json, test: str, wanted: str) -> bool:
    """`tag.present=name` and `tag.absent=name` look at names, the other tests at `name:value`."""
    tags = [str(tag).lower() for tag in record.get("tags") or ()]
    if test in ("present", "absent"):
        return (wanted.lower() in {tag.partition(":")[0] for tag in tags}) == (test == "present")
    if test and test not in _TESTS:
        raise _bad_query(f"tag.{test}")
    return any(_TESTS[test or "exact"](tag, wanted.lower()) for tag in tags)
