"""One request in, one answer out: paths, verbs, bodies and representations, without I/O and without a clock.

`server` calls `answer` for every request that no fault has taken; a simulation may do the same in its own process.
What is asked for is done by `store`, `paging` and `shelf`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from sandbox.kubernetes import discovery
from sandbox.kubernetes.objects import Json
from sandbox.kubernetes.paging import number, page
from sandbox.kubernetes.patches import json_patched, merge_patched, strategic_merge_patched
from sandbox.kubernetes.refusals import (
    Cause,
    NoSuchPathError,
    StatusError,
    bad_request,
    forbidden_field,
    invalid,
    method_not_allowed,
    required,
    unauthorized,
    unsupported_media_type,
)
from sandbox.kubernetes.requests import (
    APPLY,
    Request,
    Response,
    Stream,
    Target,
    checked,
    flag,
    read_body,
    read_delete_options,
    read_object,
    read_target,
    read_writer,
)
from sandbox.kubernetes.resources import NAMESPACES, Resource
from sandbox.kubernetes.selection import Selection, selection
from sandbox.kubernetes.shelf import Shelf
from sandbox.kubernetes.store import Store, Writer
from sandbox.kubernetes.views import Representation, representation
from sandbox.kubernetes.watching import INITIAL_EVENTS_END, Watch

_PATCHES: dict[str, Callable[[Resource, Json, Any], Json]] = {
    "application/json-patch+json": lambda _, item, patch: json_patched(item, patch),
    "application/merge-patch+json": lambda _, item, patch: merge_patched(item, patch),
    "application/strategic-merge-patch+json": lambda resource, item, patch: strategic_merge_patched(
        resource.kind, item, patch
    ),
}
_STRATEGIC = "application/strategic-merge-patch+json"
_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_NAMESPACE = {"apiVersion": NAMESPACES.api_version, "kind": NAMESPACES.kind}


@dataclass
class Settings:
    """What may be changed while the server runs."""

    watchlist: bool = True
    token: str = ""


class Api:
    """The whole API on one store."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings

    def answer(self, request: Request, now: float) -> Response | Stream:
        """The answer at `now` (Unix seconds); a refusal is an answer, too."""
        try:
            self._authenticate(request)
            document = discovery.document(request.path)
            if document is not None:
                return Response(200, document)
            return self._about_objects(read_target(request.path), request, now)
        except NoSuchPathError:
            return Response(404, "404 page not found\n")
        except StatusError as error:
            return Response(error.code, error.body)

    def leave(self, stream: Stream) -> None:
        """The client of `stream` is gone."""
        self.store.shelf.leave(stream.watch)

    def _authenticate(self, request: Request) -> None:
        token = request.headers.get("authorization", "").partition(" ")[2].strip()
        if self.settings.token and token != self.settings.token and request.path not in ("/readyz", "/healthz"):
            raise unauthorized()

    def _about_objects(self, target: Target, request: Request, now: float) -> Response | Stream:
        if not target.name and request.method == "GET":
            return self._watch(target, request, now) if request.is_watch else self._list(target, request, now)
        handlers = {
            ("GET", True): self._get,
            ("POST", False): self._create,
            ("PUT", True): self._replace,
            ("PATCH", True): self._patch,
            ("DELETE", True): self._delete,
            ("DELETE", False): self._delete_collection,
        }
        handler = handlers.get((request.method, bool(target.name)))
        if handler is None:
            raise method_not_allowed()
        return handler(target, request, now)

    def _list(self, target: Target, request: Request, now: float) -> Response:
        shown = _representation(target, request, now, is_list=True)
        found = page(self.store.shelf, target.resource.storage, _selection(target, request), request.query)
        return Response(200, shown.many(found.items, found.metadata))

    def _watch(self, target: Target, request: Request, now: float) -> Stream:
        shown, chosen = _representation(target, request, now, is_list=False), _selection(target, request)
        bookmarks = flag(request.query, "allowWatchBookmarks")
        watch = Watch(chosen, shown.one, bookmarks=bookmarks, kind=shown.bookmark())
        self._begin(watch, chosen, target.resource.storage, request.query)
        return Stream(watch, number(request.query, "timeoutSeconds"))

    def _begin(self, watch: Watch, chosen: Selection, storage: str, query: Mapping[str, str]) -> None:
        shelf, version = self.store.shelf, number(query, "resourceVersion")
        is_initial = flag(query, "sendInitialEvents")
        self._check_watch_list(query)
        if is_initial or (not version and "sendInitialEvents" not in query):
            watch.begin(shelf.select(storage, chosen))
            version = shelf.version
        if is_initial:
            watch.bookmark(version, INITIAL_EVENTS_END)
        shelf.follow(storage, watch, version or shelf.version)

    def _check_watch_list(self, query: Mapping[str, str]) -> None:
        if "sendInitialEvents" not in query:
            return
        if not self.settings.watchlist:
            why = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
            raise _wrong_options("ListOptions", forbidden_field("sendInitialEvents", why))
        if query.get("resourceVersionMatch") != "NotOlderThan":
            why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            raise _wrong_options("ListOptions", forbidden_field("resourceVersionMatch", why))

    def _get(self, target: Target, request: Request, now: float) -> Response:
        item = self.store.get(target.resource, target.key)
        return Response(200, _representation(target, request, now, is_list=False).one(item))

    def _create(self, target: Target, request: Request, now: float) -> Response:
        writer = read_writer(target, request, now)
        item = self.store.create(target.resource, target.namespace, read_object(target, request), writer)
        return self._written(target, request, writer, item, is_new=True)

    def _replace(self, target: Target, request: Request, now: float) -> Response:
        writer, body = read_writer(target, request, now), read_object(target, request)
        if target.subresource == "finalize":
            return Response(200, self.store.finalize(target.key, body, writer))
        item, is_new = self.store.replace(target.resource, target.key, body, writer)
        return self._written(target, request, writer, item, is_new=is_new)

    def _patch(self, target: Target, request: Request, now: float) -> Response:
        writer = read_writer(target, request, now)
        if request.content_type == APPLY:
            item, is_new = self._apply(target, request, writer)
            return self._written(target, request, writer, item, is_new=is_new)
        make = _PATCHES.get(request.content_type)
        if make is None or (target.resource.is_custom and request.content_type == _STRATEGIC):
            raise unsupported_media_type()
        body = read_body(request)
        item = self.store.patch(target.resource, target.key, partial(_made, make, target, body), writer)
        return self._written(target, request, writer, item, is_new=False)

    def _apply(self, target: Target, request: Request, writer: Writer) -> tuple[Json, bool]:
        if not request.query.get("fieldManager"):
            raise _wrong_options("PatchOptions", required("fieldManager", "is required for apply patch"))
        config = read_object(target, request)
        if config["metadata"].get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        force = flag(request.query, "force")
        return self.store.apply(target.resource, target.key, config, writer, force=force)

    def _written(self, target: Target, request: Request, writer: Writer, item: Json, *, is_new: bool) -> Response:
        shown = _representation(target, request, writer.now, is_list=False).one(item)
        return Response(201 if is_new else 200, shown, tuple(writer.warnings))

    def _delete(self, target: Target, request: Request, now: float) -> Response:
        options = read_delete_options(request)
        return Response(200, self.store.delete(target.resource, target.key, options, read_writer(target, request, now)))

    def _delete_collection(self, target: Target, request: Request, now: float) -> Response:
        found = self.store.shelf.select(target.resource.storage, _selection(target, request))
        for item in found:
            key = (item["metadata"].get("namespace", ""), item["metadata"]["name"])
            self.store.delete(target.resource, key, read_delete_options(request), read_writer(target, request, now))
        metadata = {"resourceVersion": str(self.store.shelf.version)}
        return Response(200, _representation(target, request, now, is_list=True).many(found, metadata))


def _wrong_options(kind: str, cause: Cause) -> StatusError:
    return invalid(kind, "meta.k8s.io", "", [cause])


def _selection(target: Target, request: Request) -> Selection:
    return selection(target.resource, target.namespace, request.query)


def _representation(target: Target, request: Request, now: float, *, is_list: bool) -> Representation:
    return representation(target.resource, request.headers.get("accept", ""), now, is_list=is_list)


def _made(make: Callable[[Resource, Json, Any], Json], target: Target, patch: Any, item: Json) -> Json:
    return checked(target, make(target.resource, item, patch))


def new_api(*, random: Random, now: float, history: int, settings: Settings, namespaces: Iterable[str] = ()) -> Api:
    """An API as it is after its first start: with the system's own namespaces, and those in `namespaces`."""
    store = Store(Shelf(history), random)
    for name in (*_NAMESPACES, *namespaces):
        store.create(NAMESPACES, "", {**_NAMESPACE, "metadata": {"name": name}}, Writer(now, "kube-apiserver"))
    store.shelf.compact()  # nobody has seen the time before the start
    return Api(store, settings)
