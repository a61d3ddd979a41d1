"""What each answer of the API server means, in words that a person can act on and that do not change by themselves."""

import ssl
from typing import Any

import aiohttp
import pytest

from fsm.errors import ConflictError, GoneError, PermanentError, SessionError, SharedError, StaleError, TransientError
from k8s.errors import JSON_PATCH, Answer, ExpiredError, RejectedError, of_answer, of_failure, of_status

POD = "/api/v1/namespaces/sessions/pods/p"
PODS = "/api/v1/namespaces/sessions/pods"
ROUTE = "/apis/traefik.io/v1alpha1/namespaces/routes/ingressroutes/r"
ROUTES = "/apis/traefik.io/v1alpha1/namespaces/routes/ingressroutes"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/sessions/leases/l"


def details(**fields: Any) -> dict[str, Any]:
    return {"body": {"details": fields}}


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (Answer("GET", POD, 401), PermanentError, "KubernetesUnauthorized"),
        (Answer("GET", PODS, 403), PermanentError, "KubernetesForbidden"),
        (Answer("GET", POD, 404, **details(kind="pods", name="p")), GoneError, "ObjectGone"),
        (Answer("PATCH", ROUTE, 404), SharedError, "RouteKindMissing"),
        (Answer("GET", LEASE, 404), PermanentError, "KindMissing"),
        (Answer("PATCH", ROUTE, 404, **details(kind="namespaces", name="routes")), PermanentError, "NamespaceMissing"),
        (Answer("PATCH", ROUTE, 409), StaleError, "ObjectChanged"),
        (Answer("GET", PODS, 410), ExpiredError, "VersionExpired"),
        (Answer("PATCH", POD + "/status", 422, JSON_PATCH), StaleError, "ObjectChanged"),
        (
            Answer("PATCH", POD + "/status", 422, JSON_PATCH, **details(causes=[{"field": "x", "reason": "TooLong"}])),
            RejectedError,
            "KubernetesRejected",
        ),
        (Answer("PATCH", ROUTE, 422), RejectedError, "RouteRejected"),
        (Answer("GET", PODS, 400), RejectedError, "KubernetesRejected"),
        (Answer("GET", PODS, 429, retry_after=7.0), TransientError, "KubernetesThrottled"),
        (Answer("GET", PODS, 500), TransientError, "KubernetesUnavailable"),
        (Answer("GET", PODS, 503), TransientError, "KubernetesUnavailable"),
        (Answer("GET", PODS, 302), TransientError, "KubernetesUnavailable"),
    ],
)
def test_each_status_has_its_kind_and_reason(answer: Answer, kind: type[SessionError], reason: str) -> None:
    error = of_answer(answer)
    assert type(error) is kind
    assert error.reason == reason


def test_no_answer_makes_a_conflict_of_its_own() -> None:
    assert not any(isinstance(of_answer(Answer("GET", PODS, status)), ConflictError) for status in range(300, 600))


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("GET", PODS, "list and watch on pods in namespace sessions"),
        ("GET", POD, "get on pods in namespace sessions"),
        ("PATCH", POD + "/status", "patch on pods/status in namespace sessions"),
        ("DELETE", ROUTE, "delete on ingressroutes.traefik.io in namespace routes"),
        ("PUT", LEASE, "update on leases.coordination.k8s.io in namespace sessions"),
        ("POST", ROUTES, "create on ingressroutes.traefik.io in namespace routes"),
    ],
)
def test_a_missing_right_is_named_as_a_role_spells_it(method: str, path: str, right: str) -> None:
    message = 'pods is forbidden: User "system:serviceaccount:x:y" cannot list resource "pods"'
    error = of_answer(Answer(method, path, 403, body={"message": message}))
    assert f"grant {right}" in error.remedy
    assert "serviceaccount:x" not in str(error)


@pytest.mark.parametrize("words", ["no", "a route cannot have this host"])
def test_a_quota_or_a_webhook_that_refuses_is_no_missing_right(words: str) -> None:
    message = f'admission webhook "w" denied the request: {words}'
    error = of_answer(Answer("PATCH", ROUTE, 403, body={"message": message}))
    assert error.reason == "RouteRejected"
    assert words in error.text


def test_a_namespace_that_is_being_deleted_is_told() -> None:
    body = {"message": "because it is being terminated", "details": {"causes": [{"reason": "NamespaceTerminating"}]}}
    error = of_answer(Answer("POST", ROUTES, 403, body=body))
    assert error.reason == "NamespaceTerminating"
    assert error.remedy.startswith("wait until it is gone")


def test_a_field_that_the_crd_does_not_know_needs_a_person() -> None:
    error = of_answer(Answer("PATCH", ROUTE, 500, body={"message": ".spec.x: field not declared in schema"}))
    assert isinstance(error, PermanentError)
    assert "field not declared" in error.text


def test_a_message_about_a_pod_is_not_shown_because_it_may_quote_a_secret() -> None:
    body = {
        "message": 'Invalid value: "s3cret"',
        "details": {"causes": [{"field": "metadata.annotations", "reason": "TooLong", "message": "s3cret"}]},
    }
    error = of_answer(Answer("PATCH", POD + "/status", 422, JSON_PATCH, body=body))
    assert "s3cret" not in str(error)
    assert "metadata.annotations TooLong" in error.text


def test_an_error_in_a_watch_is_translated_like_an_answer() -> None:
    assert isinstance(of_status({"code": 410}, PODS), ExpiredError)
    assert isinstance(of_status({}, PODS), TransientError)


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (TimeoutError(), "did not answer in time"),
        (aiohttp.ServerTimeoutError(), "did not answer in time"),
        (aiohttp.ServerDisconnectedError(), "cannot be reached"),
        (aiohttp.ClientPayloadError("at 0x7f00"), "ended its answer early"),
        (ConnectionRefusedError(111, "10.0.0.1"), "cannot be reached"),
        (ssl.SSLError(1, "x"), "cannot be reached"),
        (ValueError("Chunk too big"), "cannot be read"),
    ],
)
def test_each_failure_is_transient_with_a_text_that_stays_the_same(failure: Exception, text: str) -> None:
    error = of_failure(failure)
    assert text in error.text
    assert not any(part in str(error) for part in ("0x", "10.0.0.1", "111"))
