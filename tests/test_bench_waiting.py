"""What the bench waits for, what it counts meanwhile, and that it waits for nothing that cannot come."""

import json
from functools import partial
from pathlib import Path

from bench.ground import Asked, AuditLog, upkeep
from tests.controlplane import ControlPlane


def audited(verb: str, resource: str, stage: str = "ResponseComplete", user: str = "operator") -> str:
    name = f"system:serviceaccount:ns:{user}"
    event = {"verb": verb, "stage": stage, "user": {"username": name}, "objectRef": {"resource": resource}}
    return json.dumps(event) + "\n"


async def test_the_audit_log_is_read_on_and_each_watch_counts_once(tmp_path: Path) -> None:
    cluster = object.__new__(ControlPlane)
    cluster.folder = tmp_path
    last = audited("update", "leases")
    with (tmp_path / "audit.log").open("w") as log:
        book = AuditLog(partial(cluster.requests_from, "ns", "operator"))
        assert await book.asked() == Asked()
        log.write(audited("watch", "pods", "ResponseStarted") + audited("patch", "pods"))
        log.write(audited("patch", "pods", user="somebody") + last[:20])
        log.flush()
        assert await book.asked() == {"WATCH pods": 1, "PATCH pods": 1}
        log.write(last[20:] + audited("watch", "pods") + audited("watch", "pods", "ResponseStarted"))
        log.flush()
    asked = await book.asked()
    assert asked == {"WATCH pods": 2, "PATCH pods": 1, "PUT leases": 1}
    assert asked - upkeep(asked) == {"PATCH pods": 1}
