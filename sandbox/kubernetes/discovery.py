"""What a client reads before it asks for anything: the groups, versions and resources there are, and if all is well.

`api` asks here first; None means that the path is about objects.
"""

from dataclasses import replace

from sandbox.kubernetes.objects import Json
from sandbox.kubernetes.resources import RESOURCES, Resource

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_VERSION = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.3",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "sandbox",
}
_GROUP_VERSIONS = tuple(dict.fromkeys((resource.group, resource.version) for resource in RESOURCES))


def document(path: str) -> Json | str | None:
    """The document at `path`, if it is one of discovery's."""
    return _DOCUMENTS.get(path.rstrip("/"))


def _resource_list(group: str, version: str) -> Json:
    found = [resource for resource in RESOURCES if (resource.group, resource.version) == (group, version)]
    entries = [_entry(resource) for resource in found]
    statuses = [
        {
            **_entry(replace(resource, short=())),
            "name": f"{resource.plural}/status",
            "verbs": ["get", "patch", "update"],
        }
        for resource in found
        if resource.has_status
    ]
    named = {"groupVersion": f"{group}/{version}" if group else version, "resources": entries + statuses}
    return {"kind": "APIResourceList", "apiVersion": "v1", **named}


def _entry(resource: Resource) -> Json:
    return {
        "name": resource.plural,
        "singularName": resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": _VERBS,
        **({"shortNames": list(resource.short)} if resource.short else {}),
    }


def _group(group: str, version: str) -> Json:
    named = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [named], "preferredVersion": named}


def _open_api_operation(resource: Resource) -> Json:
    """As much as kubectl reads to learn that the server checks fields by itself (`fieldValidation`)."""
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    parameters = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
    return {"patch": {"parameters": parameters, "responses": {}, "x-kubernetes-group-version-kind": kind}}


def _open_api(group: str, version: str) -> Json:
    base = f"/apis/{group}/{version}" if group else f"/api/{version}"
    paths = {
        f"{base}/{'namespaces/{namespace}/' if resource.namespaced else ''}{resource.plural}/{{name}}": (
            _open_api_operation(resource)
        )
        for resource in RESOURCES
        if (resource.group, resource.version) == (group, version)
    }
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.3"}, "paths": paths}


def _documents() -> dict[str, Json | str]:
    groups = [_group(group, version) for group, version in _GROUP_VERSIONS if group]
    prefixes = {pair: f"apis/{pair[0]}/{pair[1]}" if pair[0] else f"api/{pair[1]}" for pair in _GROUP_VERSIONS}
    open_api = {prefix: {"serverRelativeURL": f"/openapi/v3/{prefix}"} for prefix in prefixes.values()}
    return {
        "/version": _VERSION,
        **dict.fromkeys(("/readyz", "/healthz", "/livez"), "ok"),
        "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
        "/openapi/v3": {"paths": open_api},
        **{f"/apis/{group['name']}": {"kind": "APIGroup", "apiVersion": "v1", **group} for group in groups},
        **{f"/{prefix}": _resource_list(*pair) for pair, prefix in prefixes.items()},
        **{f"/openapi/v3/{prefix}": _open_api(*pair) for pair, prefix in prefixes.items()},
    }


_DOCUMENTS = _documents()
