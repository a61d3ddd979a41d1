"""This replica's own Pod, for Events about the operator itself: `controller.announce` asks for it when it has news."""

from fsm.observation import PodFacts
from k8s.client import METADATA, Kube


async def own_pod(kube: Kube, namespace: str, name: str) -> PodFacts:
    """The Pod of this name, as the object of an Event (of no session).

    Raises:
        GoneError: there is none: the operator runs outside of a Pod.
        SessionError: as every request.
    """
    pod = await kube.request("GET", f"/api/v1/namespaces/{namespace}/pods/{name}", accept=METADATA)
    metadata = pod["metadata"]
    return PodFacts(
        namespace=namespace,
        name=name,
        uid=str(metadata["uid"]),
        session="",
        created=str(metadata.get("creationTimestamp")),
        deleting=False,
        resource_version="",
        first_seen=0.0,
    )
