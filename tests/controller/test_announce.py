"""Problems become Events on the operator's own Pod: once for each change, and later if not now."""

import asyncio

from controller.announce import AGAIN, INTERVAL, Announcer
from controller.background import background
from fsm.errors import GoneError, TransientError
from fsm.observation import PodFacts
from tests.controller.world import FakeEvents
from tests.k8s.virtual import virtual

POD = PodFacts("opencode-router", "opencode-router-1", "uid", "", "", False, "", 0.0)


class Own:
    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = 0

    async def __call__(self) -> PodFacts:
        self.asked += 1
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


async def test_an_event_that_did_not_arrive_is_posted_again_and_the_others_are_not() -> None:
    problems, events = {"events": "KubernetesForbidden: no right"}, FakeEvents()
    tells = announcer(problems, Own(), events)
    events.is_deaf = True
    assert not await tells.once()
    events.is_deaf = False
    assert await tells.once()
    problems["sweep"] = "SweepHeld: 9 of 10"
    assert await tells.once()
    assert [reason for reason, *_ in events.posted] == ["KubernetesForbidden", "SweepHeld"]


@virtual
async def test_what_cannot_be_told_is_tried_again_more_slowly_and_a_bug_ends_nothing() -> None:
    own, events = Own(), FakeEvents()
    async with background(announcer({"a": "B: c"}, own, events).run):
        for own.error in (KeyError("metadata"), GoneError("ObjectGone", "the pod does not exist")):
            await asyncio.sleep(AGAIN)
        own.error = None
        assert (own.asked, events.posted) == (2, [])
        await asyncio.sleep(INTERVAL + 1)
        assert events.posted == [("B", "c", True)]
