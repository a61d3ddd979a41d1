"""The end of a story notices what it is there for: the simulation can only be as good as what it looks at."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from cloudflare_ops.ownership import ORIGINAL_COMMENT, render
from fsm.desired import TunnelRule
from fsm.session import PREFIX
from sandbox.cloudflare.envelope import Request as CloudflareRequest
from sandbox.kubernetes.requests import Request
from tests.property.simulation import ending
from tests.property.simulation.cloudflare_monitor import Mark, Read
from tests.property.simulation.kube_monitor import PATCHES_A_MINUTE
from tests.property.simulation.loop import SENT
from tests.property.simulation.names import HASHES
from tests.property.simulation.scene import NOW
from tests.property.simulation.simulation import Simulation
from tests.property.simulation.test_simulation import Bugs

SESSION, OTHER = HASHES[:2]
SOON = 30.0  # seconds


@contextmanager
def ready_sessions() -> Iterator[Simulation]:
    """Two Ready sessions, whose operator has just been told to stop."""
    sim = Simulation(1)
    try:
        sim.create_session(SESSION)
        sim.create_session(OTHER)
        replica = sim.start()
        sim.run(SOON)
        assert ending.what_is_wrong(sim) == []
        assert ending.stuck(sim) == []
        sim.terminate(replica)
        sim.run(SOON)
        yield sim
    finally:
        sim.close()


def comment(sim: Simulation) -> None:
    [record] = sim.world.records.at(sim.hostname_of(SESSION))
    sim.world.records.patch(record["id"], {"comment": ORIGINAL_COMMENT}, "2026-11-23T00:00:00Z")


def rule(sim: Simulation) -> None:
    config = sim.world.tunnel.config
    assert config
    rules = [{**it, "path": "/a"} if it.get("hostname") == sim.hostname_of(SESSION) else it for it in config["ingress"]]
    sim.world.tunnel.configure({**config, "ingress": rules}, "2026-11-23T00:00:00Z")


SPOILT: dict[str, Callable[[Simulation], None]] = {
    "proxy": lambda sim: sim.dim_record(SESSION),
    "comment": comment,
    "rule": rule,
    "route": lambda sim: sim.spoil_route(SESSION, remove=False),
    "record": lambda sim: sim.remove_record(sim.hostname_of(SESSION)),
    "no route": lambda sim: sim.spoil_route(SESSION, remove=True),
}


@pytest.mark.parametrize("what", SPOILT)
def test_whatever_of_a_session_is_not_as_wanted_is_told(what: str) -> None:
    with ready_sessions() as sim:
        SPOILT[what](sim)
        wrong = ending.what_is_wrong(sim)
        assert len(wrong) == 1
        assert wrong[0].startswith(SESSION)


def test_who_does_not_stop_is_told() -> None:
    with ready_sessions() as sim:
        assert ending.stuck(sim) == []
        replica = sim.start()
        sim.run(SOON)
        replica.stop.set()
        assert ending.stuck(sim) == [f"replica {replica.number} does not stop"]
        sim.run(SOON)
        assert ending.stuck(sim) == []


def test_a_turn_that_nobody_gave_back_is_told() -> None:
    with ready_sessions() as sim:
        replica = sim.start()
        sim.run(SOON)
        term = replica.operator.term
        assert term
        assert ending.stuck(sim) == []
        term._reconciler._writes._value -= 1
        [path] = ending.stuck(sim)
        assert path.endswith("._writes is locked")


def test_a_flood_is_counted_for_each_pod_however_often_its_name_comes_again() -> None:
    with ready_sessions() as sim:
        patch = Request("PATCH", f"/api/v1/namespaces/some/pods/opencode-session-{SESSION}/status")
        for _ in range(3):
            sim.turn(SESSION)
            sim.turn(SESSION)
            for _ in range(PATCHES_A_MINUTE):
                sim.monitor._check_rate(0, patch)
        assert sim.monitor.violations == []
        sim.monitor._check_rate(0, patch)
        [violation] = sim.monitor.violations
        assert f"replica 0 sent {PATCHES_A_MINUTE + 1} PATCH" in violation


def test_a_pod_may_inherit_a_word_but_not_say_it_anew() -> None:
    word = "CloudflareUnreachable: no reply from the Cloudflare API"
    with ready_sessions() as sim:

        def tell(uid: str, error: str) -> None:
            pod = {"metadata": {"uid": uid, "annotations": {PREFIX + "last-error": error}}}
            sim.monitor._check_alarm(0, SESSION, pod)

        sim.monitor.lost[0] = [sim.monitor.now()] * 2
        tell("first", word)
        sim.monitor.lost[0].clear()
        tell("second", word)
        assert sim.monitor.violations == []
        tell("second", "")
        tell("second", word)
        [violation] = sim.monitor.violations
        assert "only one reply was lost" in violation


def test_a_former_service_is_known_to_who_leads_and_has_seen_the_pod_go() -> None:
    service = "http://router.svc:80"
    with ready_sessions() as sim:
        leader = sim.start()
        sim.run(SOON)
        sim.start()
        sim.run(SOON)
        assert leader.operator.term
        [uid] = sim.monitor.uids[SESSION]
        assert ending._is_known(sim, SESSION, service)
        sim.turn(SESSION)
        sim.run(SOON)
        assert (leader.number, uid) in sim.monitor.saw_go
        assert ending._is_known(sim, SESSION, service)
        sim.monitor.saw_go.remove((leader.number, uid))
        assert not ending._is_known(sim, SESSION, service)


def test_a_rule_that_comes_back_with_an_old_read_is_known_to_nobody() -> None:
    rule = TunnelRule(f"{SESSION}-oc.example.org", "http://router.svc:80")
    with ready_sessions() as sim:
        sim.start()
        sim.run(SOON)
        with_rule = sim.world.tunnel.config
        sim.turn(SESSION)
        sim.run(SOON)
        without = sim.world.tunnel.config
        assert SESSION not in ending.ours_left(sim)
        sim.former_services.add(rule.service)
        for read, is_put_back in ((without, False), (with_rule, True)):
            sim.world.tunnel.configure(without or {}, NOW)
            sim.monitor._reads[0].append(Read(sim.monitor.now(), read, 1))
            with sim.monitor.cloudflare_effect(0, CloudflareRequest("PUT", "", body={"config": with_rule})):
                sim.world.tunnel.configure(with_rule or {}, NOW)
            assert (rule in sim.monitor.put_back) == is_put_back
            assert (SESSION in ending.ours_left(sim)) != is_put_back


def test_a_copied_record_names_no_service() -> None:
    with ready_sessions() as sim:
        assert sim.monitor.services[SESSION] == {"http://router.svc:80"}
        sim.create_copy(SESSION)
        sim.run(1.0)
        assert sim.monitor.services[SESSION] == set()


def test_a_write_beside_another_owner_is_excused_only_when_it_was_sent_before() -> None:
    with ready_sessions() as sim:
        monitor = sim.monitor
        [ours] = sim.world.records.at(sim.hostname_of(SESSION))
        heirs = {**ours, "comment": render("heir")}
        monitor._marked[ours["id"]] = Mark(monitor.now(), dict(ours))
        sent = SENT.set(monitor.now() - 1.0)
        monitor._check_record_touched(0, heirs, heirs)
        assert monitor.violations == []
        SENT.reset(sent)
        monitor._check_record_touched(0, heirs, heirs)
        [violation] = monitor.violations
        assert "changed the foreign record" in violation


def test_what_the_product_itself_calls_a_bug_is_a_violation() -> None:
    with ready_sessions() as sim:
        bugs = Bugs(sim)
        log = logging.getLogger("controller.queue")
        log.addHandler(bugs)
        try:
            log.error("a worker failed", exc_info=ValueError("why"))
            log.warning("nothing of interest")
        finally:
            log.removeHandler(bugs)
        [violation] = sim.monitor.violations
        assert "a worker failed: ValueError('why')" in violation
