"""What a reply must show to be the tunnel's document, and what is said of one that does not."""

from typing import Any

import pytest

from cloudflare_ops.document import accept_read, accept_written, of_reply
from cloudflare_ops.errors import OutcomeUnknownError
from fsm.desired import TunnelRule
from fsm.errors import SharedError, TransientError
from tests.cloudflare_ops.api import CATCH_ALL, host, rule, session, written

DOCUMENT = {"ingress": [written(1), CATCH_ALL]}
NONE_YET: list[Any] = [None, {}, {"ingress": None}, {"warp-routing": {}}]
NO_DOCUMENT: list[Any] = ["", [], {"ingress": "none"}, {"ingress": {}}, {"ingress": [None]}]


def test_a_document_tells_the_rules_by_session_and_when_it_was_read() -> None:
    document = of_reply({"result": {"config": DOCUMENT, "version": 7}}, 1.0, 2.0)
    assert (document.version, document.began, document.ended) == (7, 1.0, 2.0)
    assert document.by_session == {session(1): [rule(1)]}
    assert document.rules == {TunnelRule(host(1), written(1)["service"])}


@pytest.mark.parametrize("version", ["7", None, 7.5])
def test_a_version_that_is_no_number_is_none(version: object) -> None:
    assert of_reply({"result": {"config": DOCUMENT, "version": version}}, 1.0, 2.0).version is None


@pytest.mark.parametrize("config", [DOCUMENT, {"ingress": []}, *NONE_YET])
def test_a_tunnel_may_have_no_rules_yet(config: object) -> None:
    accept_read({"result": {"config": config}})


@pytest.mark.parametrize("config", [*NO_DOCUMENT, {"ingress": [CATCH_ALL, ""]}])
def test_a_read_without_a_document_is_told_and_tried_again(config: object) -> None:
    with pytest.raises(TransientError) as caught:
        accept_read({"result": {"config": config}})
    assert type(caught.value) is TransientError
    assert str(caught.value) == "CloudflareError: the reply does not show the tunnel's configuration"


def test_a_tunnel_that_is_managed_locally_is_for_a_person() -> None:
    with pytest.raises(SharedError, match=r"^TunnelLocallyManaged: "):
        accept_read({"result": {"config": DOCUMENT, "source": "local"}})


def test_the_reply_to_a_write_shows_its_rules() -> None:
    accept_written({"result": {"config": DOCUMENT}})


@pytest.mark.parametrize("config", [*NONE_YET, *NO_DOCUMENT])
def test_the_fate_of_a_write_whose_reply_shows_no_rules_is_unknown(config: object) -> None:
    with pytest.raises(OutcomeUnknownError) as caught:
        accept_written({"result": {"config": config}})
    assert str(caught.value) == "CloudflareError: the reply to a write does not show the tunnel's configuration"
