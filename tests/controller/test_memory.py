"""What is known of a session without a Pod."""

from controller.memory import Memory
from fsm import codec
from fsm.desired import TunnelRule
from fsm.states import State
from tests.builders import HASH, HOST, NOW, pod, record

FORMER = "http://former.svc:80"


def test_who_takes_over_after_a_pods_end_knows_what_its_record_said() -> None:
    left = record(State.READY, service=FORMER, attempts=3, last_error="TunnelRuleLost: it is made again")
    gone = pod(annotations=codec.render(left), deleting=True)
    recalled = Memory().recall(HASH, (), gone, HOST, NOW)
    assert recalled.rules == (TunnelRule(HOST, FORMER),)
    assert (recalled.attempts, recalled.last_error) == (0, None)


def test_who_takes_over_waits_for_the_next_try_of_a_removal() -> None:
    left = record(State.TEARING_DOWN, service=FORMER, attempts=3, retry_at=NOW, last_error="CloudflareUnavailable: 502")
    recalled = Memory().recall(HASH, (), pod(annotations=codec.render(left), deleting=True), HOST, NOW)
    assert (recalled.attempts, recalled.retry_at, recalled.last_error) == (3, NOW, left.last_error)


def test_a_pod_that_comes_after_the_end_of_another_inherits_its_rule() -> None:
    gone = pod(annotations=codec.render(record(State.READY, service=FORMER)), deleting=True)
    new = pod(uid="uid-2")
    recalled = Memory().recall(HASH, (new,), gone, HOST, NOW)
    assert recalled.rules == (TunnelRule(HOST, FORMER),)
    assert (recalled.state, recalled.pod_uid, recalled.revision) == (State.TEARING_DOWN, "uid-2", 0)


def test_a_pod_without_a_record_left_none() -> None:
    assert Memory().recall(HASH, (), pod(deleting=True), HOST, NOW).rules == ()
