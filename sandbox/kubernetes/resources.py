"""The resources this API has, as data: `api` finds them by path, `discovery` tells them to kubectl."""

from dataclasses import dataclass

CORE_VERSION = "v1"


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object under one group and version.

    `fields` are the paths that a field selector may name beside metadata.name and metadata.namespace.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    has_status: bool = False
    has_generation: bool = False
    is_custom: bool = False
    needs_version: bool = False  # a PUT has to say which resourceVersion it replaces
    returns_deleted: bool = False  # a DELETE answers with the object, not with a Status
    fields: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """How messages name it: `leases.coordination.k8s.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def subresources(self) -> tuple[str, ...]:
        """The other halves of the object that have a path of their own."""
        return (*(("status",) if self.has_status else ()), *(("finalize",) if self.plural == "namespaces" else ()))

    @property
    def storage(self) -> str:
        """Whose objects it shows: Events of both groups are the same objects."""
        return self.plural if self.plural in ("events", "namespaces") else self.qualified


def _traefik(kind: str, plural: str) -> Resource:
    return Resource("traefik.io", "v1alpha1", plural, kind, has_generation=True, is_custom=True, needs_version=True)


_INVOLVED = ("apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid")
_EVENT_FIELDS = ("reason", "type", "reportingComponent", "source", *(f"involvedObject.{key}" for key in _INVOLVED))

PODS = Resource(
    "", CORE_VERSION, "pods", "Pod", short=("po",), has_status=True, has_generation=True, returns_deleted=True,
    fields=("spec.nodeName", "spec.restartPolicy", "status.phase", "status.podIP"),
)  # fmt: skip
NAMESPACES = Resource(
    "", CORE_VERSION, "namespaces", "Namespace", namespaced=False, short=("ns",), has_status=True,
    returns_deleted=True, fields=("status.phase",),
)  # fmt: skip
SERVICES = Resource("", CORE_VERSION, "services", "Service", short=("svc",), has_status=True, returns_deleted=True)
CORE_EVENTS = Resource("", CORE_VERSION, "events", "Event", short=("ev",), fields=_EVENT_FIELDS)
EVENTS = Resource("events.k8s.io", "v1", "events", "Event", short=("ev",), fields=("reason", "type"))
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease", needs_version=True)
INGRESS_ROUTES = _traefik("IngressRoute", "ingressroutes")

RESOURCES = (
    PODS,
    NAMESPACES,
    SERVICES,
    Resource("", CORE_VERSION, "secrets", "Secret", fields=("type",)),
    Resource("", CORE_VERSION, "configmaps", "ConfigMap", short=("cm",)),
    Resource("", CORE_VERSION, "nodes", "Node", namespaced=False, short=("no",), has_status=True),
    CORE_EVENTS,
    EVENTS,
    LEASES,
    Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", has_generation=True),
    INGRESS_ROUTES,
    _traefik("IngressRouteTCP", "ingressroutetcps"),
    _traefik("IngressRouteUDP", "ingressrouteudps"),
    _traefik("Middleware", "middlewares"),
    _traefik("MiddlewareTCP", "middlewaretcps"),
    _traefik("ServersTransport", "serverstransports"),
    _traefik("ServersTransportTCP", "serverstransporttcps"),
    _traefik("TLSOption", "tlsoptions"),
    _traefik("TLSStore", "tlsstores"),
    _traefik("TraefikService", "traefikservices"),
)

BY_PATH = {(resource.group, resource.version, resource.plural): resource for resource in RESOURCES}
