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


def test_a_pod_without_a_record_left_none() -> None:
    assert Memory().recall(HASH, (), pod(deleting=True), HOST, NOW).rules == ()
