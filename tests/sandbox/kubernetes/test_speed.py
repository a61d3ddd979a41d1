"""The sandbox is no bottleneck: a thousand Pods, and a simulation that uses the core in its own process."""

import json
from random import Random

from sandbox.kubernetes.api import Api, Settings, new_api
from sandbox.kubernetes.requests import Request, Response, Stream
from tests.contract.kubernetes.support import pod

PODS = "/api/v1/namespaces/ns/pods"


def new(seed: int) -> Api:
    return new_api(random=Random(seed), now=0.0, history=10_000, settings=Settings(), namespaces=["ns"])


def ask(api: Api, method: str, path: str, body: object = None, **query: str) -> Response:
    content_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
    request = Request(method, path, query, {"content-type": content_type}, json.dumps(body).encode() if body else b"")
    answer = api.answer(request, 60.0)
    assert isinstance(answer, Response)
    assert answer.status < 300, answer.body
    return answer


def test_a_thousand_pods_are_made_patched_watched_and_listed_in_one_process() -> None:
    api = new(1)
    stream = api.answer(Request("GET", PODS, {"watch": "true"}), 0.0)
    assert isinstance(stream, Stream)
    for number in range(1_000):
        ask(api, "POST", PODS, pod(f"p{number}"))
        ask(api, "PATCH", f"{PODS}/p{number}", {"metadata": {"annotations": {"a": "1"}}})
    events = stream.watch.take()
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED"] * 1_000
    assert events[-1]["object"]["metadata"]["creationTimestamp"] == "1970-01-01T00:01:00Z"
    found = ask(api, "GET", PODS).body
    assert isinstance(found, dict)
    assert len(found["items"]) == 1_000


def test_the_same_seed_and_the_same_times_make_the_same_world() -> None:
    worlds = []
    for api in (new(7), new(7)):
        ask(api, "POST", PODS, {**pod(""), "metadata": {"generateName": "p-"}})
        worlds.append(ask(api, "GET", PODS).body)
    assert worlds[0] == worlds[1]


def test_an_answer_is_not_changed_by_later_writes() -> None:
    api = new(1)
    made = ask(api, "POST", PODS, pod("p", annotations={"a": "1"})).body
    before = json.dumps(made)
    ask(api, "PATCH", f"{PODS}/p", {"metadata": {"annotations": {"a": "2"}}})
    assert json.dumps(made) == before
