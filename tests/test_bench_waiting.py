"""What the bench waits for, what it counts meanwhile, and that it waits for nothing that cannot come."""

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Never, cast

import pytest

from bench.bare import Bare
from bench.beside import beside
from bench.figures import HELD, OBVIOUS, OPERATOR, Row
from bench.ground import HASTY, Asked, AuditLog, Ground, upkeep
from bench.lives import resyncs_due
from bench.watching import Diary, troubles
from fsm.session import HASH_LABEL, PREFIX
from sandbox.operators import Replica
from sandbox.stage import Stage
from tests.controlplane import ControlPlane

ONE = "0" * 12
WELL = {"problems": {}, "watches": {"pods": {"synced": True}, "ingressroutes": {"synced": True}}}


def replica(name: str, log: Path, *, code: int | None = None, **told: Any) -> Replica:
    async def health() -> tuple[int, Mapping[str, object]]:
        return 200, WELL | told

    process = SimpleNamespace(returncode=code)
    return cast("Replica", SimpleNamespace(name=name, process=process, is_running=code is None, log=log, health=health))


def ground(*replicas: Replica, who: str = OPERATOR) -> Ground:
    async def asked() -> Asked:
        return Asked()

    stage = cast("Stage", SimpleNamespace(operators=list(replicas)))
    row, bare = Row("burst", 10, 50, who), Bare(1.0, 70.0, 0.001, 0.000_02)
    return Ground(row, stage, cast("Any", None), {}, asked, bare, HASTY)


async def test_a_block_ends_when_the_work_beside_it_fails_and_not_when_it_is_done() -> None:
    async def fail() -> Never:
        raise ValueError("the watch is gone")

    with pytest.raises(ExceptionGroup) as raised:
        async with beside(fail):
            await asyncio.Event().wait()
    assert raised.group_contains(ValueError, match="the watch is gone")
    async with beside(partial(asyncio.sleep, 0)):
        for _ in range(5):
            await asyncio.sleep(0)


async def test_a_program_that_ends_alarms_unless_it_was_told_to(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("the last words")
    here = ground(replica("a", log, code=0), replica("b", log, code=1))
    here.told.add("a")
    with pytest.raises(RuntimeError, match="b has ended with 1: the last words"):
        await here.alarm()


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({}, []),
        ({"problems": {"cloudflare": "no answer"}}, ["cloudflare"]),
        ({"watches": {"pods": {"synced": False}, "ingressroutes": {"synced": True}}}, ["pods"]),
    ],
)
async def test_what_health_tells_is_trouble(tmp_path: Path, told: dict[str, Any], found: list[str]) -> None:
    one = replica("a", tmp_path, **told)
    assert await troubles(one) == found
    assert await Diary(ground(one)).is_well() is (not found)
    # The obvious way has no /healthz, and who has ended does not answer.
    assert await Diary(ground(one, who=OBVIOUS)).is_well()
    assert await Diary(ground(replica("b", tmp_path, code=0, **told))).is_well()


def pod(*, going: bool = False, **record: str) -> dict[str, Any]:
    annotations = {PREFIX + key.replace("_", "-"): text for key, text in record.items()}
    metadata = {"labels": {HASH_LABEL: ONE}, "annotations": annotations}
    return {"metadata": metadata | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if going else {})}


async def test_a_session_that_will_try_again_is_no_rest_and_one_that_is_bad_for_good_is() -> None:
    book = Diary(ground())
    for told, is_well in (
        (pod(state="Pending", last_error="HTTP 502", retry_at="2026-01-01T00:00:04Z"), False),
        (pod(state="Pending", last_error="RecordConflict: somebody else's"), True),
        (pod(state="DnsCreated", last_error="HTTP 502", retry_at="2026-01-01T00:00:04Z"), False),
        (pod(state="TearingDown", last_error="HTTP 502", retry_at="2026-01-01T00:00:04Z", going=True), True),
    ):
        book.take(told)
        assert await book.is_well() is is_well
    assert book.ready == {}


async def test_who_never_rests_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.ground.WITHIN", 0.0)
    book = Diary(ground())
    book.take(pod(state="Pending", retry_at="2026-01-01T00:00:04Z"))
    with pytest.raises(TimeoutError):
        await book.until_quiet()


async def test_each_session_counts_from_its_own_beginning_to_its_first_ready() -> None:
    book = Diary(ground())
    book.ready = {"a": 5.0, "b": 4.0, "c": 1.0}
    assert book.waited({"a": 1.0, "b": 3.0}) == [1.0, 4.0]
    book.take(pod(state="Ready"))
    first = book.ready[ONE]
    book.take(pod(state="Ready"))
    assert book.ready[ONE] == first


def test_a_held_operator_is_given_longer() -> None:
    assert ground(who=HELD).within > ground().within


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


@pytest.mark.parametrize(("sessions", "period"), [(1, 1.25), (1000, 5.25), (5000, 25.5)])
def test_the_resyncs_that_are_due_follow_from_the_time_alone(sessions: int, period: float) -> None:
    interval = max(1.0, sessions / 200)
    assert resyncs_due(Row("idle", sessions, 250), 60 * period, interval) == pytest.approx(60)
