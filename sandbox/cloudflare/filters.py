"""Which records a list selects: the filters of `GET …/dns_records` as one test. Pure; called by `records`.

Every filter looks past upper and lower case. Parameters that are no filters are ignored, as the API ignores them.
"""

from collections.abc import Callable, Mapping, Sequence

from sandbox.cloudflare.envelope import Json, RefusedError

Test = Callable[[Json], bool]

_COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "exact": lambda text, wanted: text == wanted,
    "contains": lambda text, wanted: wanted in text,
    "startswith": lambda text, wanted: text.startswith(wanted),
    "endswith": lambda text, wanted: text.endswith(wanted),
}


def selection(query: Mapping[str, str]) -> Test:
    """All filters at once, or any of them. Raises RefusedError (400) for a comparison that does not exist."""
    asked = [(*key.partition(".")[::2], wanted.lower()) for key, wanted in query.items()]
    tests = [_FILTERS[field](how, wanted) for field, how, wanted in asked if field in _FILTERS]
    if tags := [_tag(how, wanted) for field, how, wanted in asked if field == "tag"]:
        tests.append(_joined(tags, query, "tag_match"))
    return _joined(tests, query, "match")


def bad_query(key: str) -> RefusedError:
    """A parameter that makes no sense."""
    return RefusedError(400, 1004, "DNS Validation Error", chain=((9100, f"{key} is invalid"),))


def _joined(tests: Sequence[Test], query: Mapping[str, str], key: str) -> Test:
    how = query.get(key, "all")
    if how not in ("all", "any"):
        raise bad_query(key)
    join = any if how == "any" and tests else all
    return lambda record: join(test(record) for test in tests)


def _comparison(field: str, how: str) -> Callable[[str, str], bool]:
    found = _COMPARISONS.get(how or "exact")
    if found is None:
        raise bad_query(f"{field}.{how}")
    return found


def _text(field: str) -> Callable[[str, str], Test]:
    def test(how: str, wanted: str) -> Test:
        compare = _comparison(field, how)
        return lambda record: compare(str(record[field] or "").lower(), wanted)

    return test


def _comment(how: str, wanted: str) -> Test:
    if how in ("present", "absent"):
        return lambda record: bool(record["comment"]) == (how == "present")
    return _text("comment")(how, wanted)


def _tag(how: str, wanted: str) -> Test:
    """`tag.present=name` and `tag.absent=name` look at names, the other tests at `name:value`."""
    if how in ("present", "absent"):
        return lambda record: (wanted in {tag.partition(":")[0] for tag in _tags(record)}) == (how == "present")
    compare = _comparison("tag", how)
    return lambda record: any(compare(tag, wanted) for tag in _tags(record))


def _tags(record: Json) -> list[str]:
    return [str(tag).lower() for tag in record["tags"]]


def _proxied(_: str, wanted: str) -> Test:
    if wanted not in ("true", "false"):
        raise bad_query("proxied")
    return lambda record: record["proxied"] == (wanted == "true")


def _search(_: str, wanted: str) -> Test:
    return lambda record: any(wanted in str(record[field]).lower() for field in ("name", "content", "comment", "tags"))


_FILTERS: Mapping[str, Callable[[str, str], Test]] = {
    "name": _text("name"),
    "content": _text("content"),
    "type": _text("type"),
    "comment": _comment,
    "proxied": _proxied,
    "search": _search,
}
