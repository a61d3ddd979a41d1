"""One Pod by its name, read live: the object of an Event of which no cache knows (`controller.announce` tells this
replica's own Pod of its problems, `controller.mislabeled` those whose hash is none)."""

from fsm.errors import TransientError
from fsm.observation import PodFacts
from fsm.session import HASH_LABEL
from k8s.client import METADATA, Kube


async def one_pod(kube: Kube, namespace: str, name: str) -> PodFacts:
    """The Pod of this name, as the object of an Event; its `session` is the label as it is, which may be no hash.

    Raises:
        GoneError: there is none.
        SessionError: as every request.
    """
    pod = await kube.request("GET", f"/api/v1/namespaces/{namespace}/pods/{name}", accept=METADATA)
    metadata = pod.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("uid"):
        # Whatever a proxy says in the API server's place.
        raise TransientError("KubernetesUnavailable", "the API server's answer is no Pod")
    return PodFacts(
        namespace=namespace,
        name=name,
        uid=str(metadata["uid"]),
        session=str((metadata.get("labels") or {}).get(HASH_LABEL, "")),
        created=str(metadata.get("creationTimestamp")),
        deleting=False,
        resource_version="",
        first_seen=0.0,
    )
