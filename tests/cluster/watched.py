"""A watch that keeps every event, so that no state can be missed however short it was: `kubectl get --raw`."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.manifests import pod_name
from tests.cluster.site import Json, Site, ours
from tests.controlplane.process import Program
from tests.controlplane.server import KUBECTL


class Watched:
    """The events of one session's Pod, from before it was made."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def events(self) -> list[Json]:
        """{type, object}, in order."""
        lines = self._log.read_text().splitlines(keepends=True) if self._log.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def states(self) -> list[str]:
        """The states that the annotations went through; "" before the first."""
        found = [ours(event["object"]).get("state", "") for event in self.events()]
        return [state for before, state in zip([None, *found], found, strict=False) if state != before]

    def errors(self) -> list[str]:
        """Every `last-error` that the annotations showed."""
        texts = [ours(event["object"]).get("last-error", "") for event in self.events()]
        return list(dict.fromkeys(text for text in texts if text))

    def is_gone(self) -> bool:
        """Whether the Pod was deleted."""
        return any(event["type"] == "DELETED" for event in self.events())


@contextlib.contextmanager
def watched(site: Site, session: str) -> Iterator[Watched]:
    """A watch of the session's Pod, which need not exist yet; ends with the context."""
    pods = f"/api/v1/namespaces/{site.namespace}/pods"
    version = site.get(pods)["metadata"]["resourceVersion"]
    query = f"watch=1&resourceVersion={version}&fieldSelector=metadata.name={pod_name(session)}"
    log = site.folder / f"watch-{session}.log"
    program = Program([KUBECTL, "--kubeconfig", site.cluster.kubeconfig(), "get", "--raw", f"{pods}?{query}"], log=log)
    program.start(lambda: True)  # it begins at a version, so nothing is missed however late it starts
    try:
        yield Watched(log)
    finally:
        program.kill()
