"""Events about a Pod: complete, counted, and never in anybody's way."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fsm.observation import PodFacts
from k8s.errors import of_failure
from k8s.events import Events
from tests.k8s.fake import SILENCE, FakeKube, refusal
from tests.k8s.test_annotation import facts
from tests.k8s.virtual import now, virtual

PATH = "/apis/events.k8s.io/v1/namespaces/ns/events"


class World:
    def __init__(self) -> None:
        self.kube = FakeKube()
        self.kube.usual = lambda asked: asked.body
        wall = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
        self.events = Events(self.kube, instance="router-0", wall=lambda: wall + timedelta(seconds=now() - 1_000))

    async def post(self, note: str = "all is well", pod: PodFacts | None = None, reason: str = "Ready") -> bool:
        return await self.events.post(pod or facts({}), reason=reason, note=note, warning=False)


@virtual
async def test_an_event_names_the_pod_with_its_uid_and_who_reports() -> None:
    world = World()
    await world.events.post(facts({}), reason="RecordQuotaFull", note="the zone is full", warning=True)
    (asked,) = world.kube.asked
    assert (asked.method, asked.path) == ("POST", PATH)
    body = asked.body
    name = body["metadata"].pop("name")
    assert re.fullmatch(r"pod\.[0-9a-f]{16}", name)
    assert body == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": "ns"},
        "eventTime": "2026-11-23T02:00:00.000000Z",
        "reportingController": "opencode-cloudflare-operator",
        "reportingInstance": "router-0",
        "action": "Provision",
        "reason": "RecordQuotaFull",
        "type": "Warning",
        "note": "the zone is full",
        "regarding": {"apiVersion": "v1", "kind": "Pod", "namespace": "ns", "name": "pod", "uid": "uid-1"},
    }


@virtual
async def test_repeats_count_in_a_series() -> None:
    world = World()
    for _ in range(3):
        await world.post()
        await asyncio.sleep(1)
    first, *repeats = world.kube.asked
    name = first.body["metadata"]["name"]
    assert [(asked.method, asked.path) for asked in repeats] == [("PATCH", f"{PATH}/{name}")] * 2
    assert [asked.body["series"] for asked in repeats] == [
        {"count": 2, "lastObservedTime": "2026-11-23T02:00:01.000000Z"},
        {"count": 3, "lastObservedTime": "2026-11-23T02:00:02.000000Z"},
    ]


@virtual
async def test_other_news_or_another_pod_is_another_event() -> None:
    world = World()
    await world.post()
    await world.post(note="something else")
    await world.post(reason="Conflict")
    await world.post(pod=facts({}, uid="uid-2"))
    assert [asked.method for asked in world.kube.asked] == ["POST"] * 4
    assert len({asked.body["metadata"]["name"] for asked in world.kube.asked}) == 4


@virtual
async def test_an_event_that_has_expired_begins_again() -> None:
    world = World()
    for _ in range(3):
        await world.post()
    world.kube.answers.append(refusal(404, PATH + "/e", body={"details": {"kind": "events", "name": "e"}}))
    await world.post()
    await world.post()
    assert [asked.method for asked in world.kube.asked] == ["POST", "PATCH", "PATCH", "PATCH", "POST", "PATCH"]
    assert world.kube.asked[-1].body["series"]["count"] == 2


@virtual
async def test_an_event_whose_reply_was_lost_is_counted_not_doubled() -> None:
    world = World()
    world.kube.answers.extend([of_failure(TimeoutError()), refusal(409, PATH)])
    await world.post()
    await world.post()
    assert [asked.method for asked in world.kube.asked] == ["POST", "POST", "PATCH"]


@virtual
@pytest.mark.parametrize(
    ("answer", "lasts"),
    [
        (refusal(403, PATH), True),
        (refusal(422, PATH), True),
        (refusal(500, PATH), False),
        (of_failure(OSError()), False),
        (SILENCE, False),
    ],
)
async def test_trouble_is_logged_once_never_raised_and_told_if_it_lasts(
    answer: Any, lasts: bool, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    started = now()
    world.kube.answers.extend([answer, answer])
    assert not await world.post()
    assert not await world.post()
    assert now() - started <= 10
    assert (world.events.problem is not None) == lasts
    assert len(caplog.records) == 1
    assert await world.post()
    assert world.events.problem is None


@virtual
@pytest.mark.parametrize("note", ["x" * 2_000, "é" * 1_000, "x" * 1_023 + "é"])
async def test_a_long_note_is_cut_to_what_the_server_takes(note: str) -> None:
    world = World()
    await world.post(note=note)
    sent = world.kube.asked[0].body["note"]
    assert len(sent.encode()) <= 1_024
    assert sent.endswith("…")
    assert note.startswith(sent[:-1])


@virtual
async def test_memory_is_bounded() -> None:
    world = World()
    for number in range(1_100):
        await world.post(note=str(number))
    await world.post(note="0")
    assert world.kube.asked[-1].method == "POST"
    await world.post(note="1099")
    assert world.kube.asked[-1].method == "PATCH"
