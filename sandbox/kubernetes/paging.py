"""A list in pages that all show the same moment, by the API server's `limit` and `continue`.

Called by `api` for every list; the pages are cut from the shelf's snapshot of the first page's resourceVersion.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import NamedTuple

from sandbox.kubernetes.objects import Json
from sandbox.kubernetes.refusals import StatusError, bad_request, expired, too_large_version
from sandbox.kubernetes.selection import Selection
from sandbox.kubernetes.shelf import Key, Shelf

_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


class Page(NamedTuple):
    """The objects of one page and the list's metadata."""

    items: list[Json]
    metadata: Json


def page(shelf: Shelf, storage: str, selection: Selection, query: Mapping[str, str]) -> Page:
    """One page. Raises StatusError: 400 for a bad query, 410 for a moment that is forgotten, 504 for one to come."""
    version, after = _place(shelf, query)
    limit = 0 if query.get("resourceVersion") == "0" else number(query, "limit")  # a list from the cache has no pages
    found = [pair for pair in shelf.snapshot(storage, version) if pair[0] > after and selection.matches(pair[1])]
    metadata: Json = {"resourceVersion": str(version)}
    if limit and len(found) > limit:
        metadata["continue"] = _token(version, found[limit - 1][0])
        if selection.is_everything:
            metadata["remainingItemCount"] = len(found) - limit
    return Page([item for _, item in (found[:limit] if limit else found)], metadata)


def number(query: Mapping[str, str], key: str) -> int:
    """A count in the query, 0 if it is not there. Raises StatusError (400)."""
    text = query.get(key) or "0"
    if not (text.isascii() and text.isdigit()):
        raise bad_request(f"invalid {key}: {text!r}")
    return int(text)


def _place(shelf: Shelf, query: Mapping[str, str]) -> tuple[int, Key]:
    """The version to show and the key after which the page begins."""
    if token := query.get("continue"):
        version, after = _read_token(token)
        if version < shelf.oldest:
            raise _expired_token(shelf, after)
        return version, after
    version = number(query, "resourceVersion")
    if version > shelf.version:
        raise too_large_version(version, shelf.version)
    return (version if query.get("resourceVersionMatch") == "Exact" else shelf.version), ("", "")


def _token(version: int, after: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps([version, *after]).encode()).decode()


def _read_token(token: str) -> tuple[int, Key]:
    try:
        version, namespace, name = json.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError, TypeError) as error:
        raise bad_request(f"continue key is not valid: {error}") from error
    return version, (namespace, name)


def _expired_token(shelf: Shelf, after: Key) -> StatusError:
    return expired(_TOO_OLD, metadata={"continue": _token(shelf.version, after)})
