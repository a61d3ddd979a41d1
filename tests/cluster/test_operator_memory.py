"""Weight: the container has 64 MiB requested and 128 MiB at most; what a process really takes is told after the run."""

from tests.cluster.conftest import Weights
from tests.cluster.manifests import new_hash
from tests.cluster.site import Site

IDLE = 85.0  # MiB
ALWAYS = 128.0  # MiB


def test_two_hundred_sessions_fit(site: Site, weights: Weights) -> None:
    operator = site.start()
    weights["idle"] = idle = operator.memory()
    sessions = [new_hash() for _ in range(200)]
    site.create(*sessions)
    site.wait_until(sessions, within=100)
    weights["200 sessions Ready"] = busy = operator.memory()
    assert idle.most < IDLE
    assert busy.most < ALWAYS
    site.kubectl("delete", "pods", "--wait=false", "--selector=opencode.ai/session-hash")
    site.wait_until_clean()
    weights["200 sessions gone again"] = operator.memory()
    assert operator.memory().most < ALWAYS
