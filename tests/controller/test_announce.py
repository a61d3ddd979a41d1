"""Problems become Events on the operator's own Pod: once for each change, and later if not now."""

from controller.announce import Announcer
from fsm.errors import GoneError, TransientError
from fsm.observation import PodFacts
from tests.controller.world import FakeEvents

POD = PodFacts("opencode-router", "opencode-router-1", "uid", "", "", False, "", 0.0)


class Own:
    def __init__(self) -> None:
        self.error: Exception | None = None

    async def __call__(self) -> PodFacts:
        if self.error:
            raise self.error
        return POD


def announcer(problems: dict[str, str], own: Own, events: FakeEvents) -> Announcer:
    return Announcer(problems=lambda: problems, own_pod=own, events=events)


async def test_a_problem_is_told_once_and_again_when_its_text_changes() -> None:
    problems, events = {"sweep": "SweepHeld: 9 of 10"}, FakeEvents()
    tells = announcer(problems, Own(), events)
    await tells.once()
    await tells.once()
    problems["sweep"] = "SweepHeld: 10 of 10"
    await tells.once()
    assert events.posted == [("SweepHeld", "9 of 10", True), ("SweepHeld", "10 of 10", True)]


async def test_a_problem_that_comes_back_is_told_again() -> None:
    problems, events = {"lease": "KubernetesUnavailable: no answer"}, FakeEvents()
    tells = announcer(problems, Own(), events)
    await tells.once()
    text = problems.pop("lease")
    await tells.once()
    problems["lease"] = text
    await tells.once()
    assert len(events.posted) == 2


async def test_what_cannot_be_told_now_is_told_later() -> None:
    problems, events, own = {"lease": "KubernetesUnavailable: no answer"}, FakeEvents(), Own()
    own.error = TransientError("KubernetesUnavailable", "no answer")
    tells = announcer(problems, own, events)
    await tells.once()
    assert events.posted == []
    own.error = None
    await tells.once()
    assert len(events.posted) == 1


async def test_outside_of_a_pod_nobody_is_told() -> None:
    events, own = FakeEvents(), Own()
    own.error = GoneError("ObjectGone", "the pod does not exist")
    await announcer({"a": "B: c"}, own, events).once()
    assert events.posted == []
