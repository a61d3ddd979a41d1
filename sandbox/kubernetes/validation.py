"""What an object has to be like, beyond its schema: the rules that this operator could break.

`store` calls `defaulted` before it keeps a new object, and `check` / `check_update` before it keeps any.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.kubernetes import schemas
from sandbox.kubernetes.objects import Json, at, without
from sandbox.kubernetes.refusals import Cause, bad_request, forbidden_field, invalid_object, required, wrong
from sandbox.kubernetes.resources import CORE_EVENTS, EVENTS, LEASES, NAMESPACES, PODS, SERVICES, Resource

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
_NOTE_LIMIT = 1024  # bytes
_NAME_LIMIT, _LABEL_LIMIT = 253, 63

_SUBDOMAIN_MESSAGE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and"
    " end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_POD_UPDATE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_POD_DEFAULTS = {
    "restartPolicy": "Always",
    "dnsPolicy": "ClusterFirst",
    "terminationGracePeriodSeconds": 30,
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "enableServiceLinks": True,
}
_CONTAINER_DEFAULTS = {
    "resources": {},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "imagePullPolicy": "IfNotPresent",
}


def defaulted(resource: Resource, item: Json) -> Json:
    """A new object with what the server adds by itself."""
    spec = item.get("spec") or {}
    if resource is PODS:
        containers = [_CONTAINER_DEFAULTS | container for container in spec.get("containers") or []]
        spec = _POD_DEFAULTS | spec | ({"containers": containers} if containers else {})
        return {**item, "spec": spec, "status": {"phase": "Pending", "qosClass": "BestEffort"}}
    if resource is NAMESPACES:
        return {**item, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    if resource is SERVICES:
        ports = [{"protocol": "TCP", "targetPort": port.get("port")} | port for port in spec.get("ports") or []]
        spec = {"type": "ClusterIP", "sessionAffinity": "None"} | spec | ({"ports": ports} if ports else {})
        return {**item, "spec": spec, "status": {"loadBalancer": {}}}
    return item


def check(resource: Resource, item: Json) -> None:
    """Raise StatusError: 400 for a time that cannot be read, 422 for fields that are wrong."""
    _check_times(resource, item)
    rules = _RULES.get(resource, _nothing)
    causes = [*_metadata(item["metadata"]), *schemas.mistakes(resource.kind, item), *rules(item)]
    if causes:
        raise invalid_object(resource, item["metadata"].get("name", ""), causes)


def check_update(resource: Resource, old: Json, new: Json) -> None:
    """Raise StatusError (422) for fields that may not change."""
    causes = list(_metadata_update(old["metadata"], new["metadata"]))
    if resource is PODS and _fixed(old) != _fixed(new):
        causes.append(forbidden_field("spec", _POD_UPDATE))
    if resource is EVENTS:
        changed = [key for key in _EVENT_FIXED if old.get(key) != new.get(key)]
        causes.extend(wrong(key, new.get(key, ""), "field is immutable") for key in changed)
    if causes:
        raise invalid_object(resource, old["metadata"]["name"], causes)


def _metadata(metadata: Json) -> Iterator[Cause]:
    name = metadata.get("name")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif not _SUBDOMAIN.fullmatch(name) or len(name) > _NAME_LIMIT:
        yield wrong("metadata.name", name, _SUBDOMAIN_MESSAGE)
    for value in (metadata.get("labels") or {}).values():
        if not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value) or len(value) > _LABEL_LIMIT:
            yield wrong("metadata.labels", value, "a valid label must be an empty string or consist of alphanumerics")
    for key, value in (metadata.get("annotations") or {}).items():
        if not isinstance(value, str):
            yield wrong(f"metadata.annotations.{key}", value, "must be a string")


def _metadata_update(old: Json, new: Json) -> Iterator[Cause]:
    for key in ("name", "namespace", "uid"):
        if old.get(key) != new.get(key):
            yield wrong(f"metadata.{key}", new.get(key, ""), "field is immutable")
    added = [name for name in new.get("finalizers") or [] if name not in (old.get("finalizers") or [])]
    if old.get("deletionTimestamp") and added:
        shown = ", ".join(f'"{name}"' for name in added)
        why = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{shown}}}"
        yield forbidden_field("metadata.finalizers", why)


def _fixed(pod: Json) -> Json:
    """The part of a Pod's spec that no update may change."""
    spec = without(pod.get("spec") or {}, "activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds")
    containers = {
        key: [without(container, "image") for container in spec[key]]
        for key in ("containers", "initContainers")
        if spec.get(key)
    }
    return spec | containers


def _nothing(_: Json) -> Iterator[Cause]:
    return iter(())


def _pod(item: Json) -> Iterator[Cause]:
    containers = at(item, ("spec", "containers")) or []
    if not containers:
        yield required("spec.containers")
    for index, container in enumerate(containers):
        yield from (required(f"spec.containers[{index}].{key}") for key in ("name", "image") if not container.get(key))


def _lease(item: Json) -> Iterator[Cause]:
    spec = item.get("spec") or {}
    if (duration := spec.get("leaseDurationSeconds")) is not None and duration <= 0:
        yield wrong("spec.leaseDurationSeconds", duration, "must be greater than 0")
    if (transitions := spec.get("leaseTransitions")) is not None and transitions < 0:
        yield wrong("spec.leaseTransitions", transitions, "must be greater than or equal to 0")


def _core_event(item: Json) -> Iterator[Cause]:
    namespace = at(item, ("involvedObject", "namespace")) or "default"
    if namespace != item["metadata"].get("namespace"):
        yield wrong("involvedObject.namespace", namespace, "does not match event.namespace")


def _event(item: Json) -> Iterator[Cause]:
    needed = ("eventTime", "reportingComponent", "reportingInstance", "action", "reason")
    names = {"reportingComponent": "reportingController"}
    yield from (required(names.get(key, key)) for key in needed if not item.get(key))
    if len((item.get("message") or "").encode()) > _NOTE_LIMIT:
        yield wrong("message", "", f"can have at most {_NOTE_LIMIT} characters")
    if item.get("type") not in ("Normal", "Warning"):
        yield wrong("type", "", f"has invalid value: {item.get('type', '')}")


# What an Event of events.k8s.io may never change: all but its series.
_EVENT_FIXED = (
    "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "type", "eventTime",
    "action", "related", "reportingComponent", "reportingInstance",
)  # fmt: skip

_RULES: dict[Resource, Callable[[Json], Iterator[Cause]]] = {
    PODS: _pod,
    LEASES: _lease,
    CORE_EVENTS: _core_event,
    EVENTS: _event,
}

_TIMES = {
    LEASES.kind: (("spec", "acquireTime"), ("spec", "renewTime")),
    EVENTS.kind: (("eventTime",), ("series", "lastObservedTime")),
}


def _check_times(resource: Resource, item: Json) -> None:
    # MicroTime has six digits, not five and not none.
    for path in _TIMES.get(resource.kind, ()):
        value: Any = at(item, path)
        if value is not None and not (isinstance(value, str) and _MICRO_TIME.fullmatch(value)):
            what = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
            raise bad_request(f'{what}: parsing time "{value}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse')
