"""A log line is JSON with the session it belongs to, or a line for people."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from controller import logs


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """Leave the root logger as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_lines_carry_the_session_and_extra_fields() -> None:
    stream = io.StringIO()
    logs.set_up("json", "info", stream)
    token = logs.session.set("8b6cc2aa9a45")
    logging.getLogger("controller.report").info("%s", "Ready", extra={"revision": 5})
    logs.session.reset(token)
    line = json.loads(stream.getvalue())
    assert line["message"] == "Ready"
    assert line["session"] == "8b6cc2aa9a45"
    assert line["revision"] == 5
    assert line["level"] == "info"


def test_auto_is_json_where_no_terminal_is() -> None:
    stream = io.StringIO()
    logs.set_up("auto", "info", stream)
    logging.getLogger("x").warning("hello")
    assert json.loads(stream.getvalue())["message"] == "hello"


def test_human_lines_are_for_people() -> None:
    stream = io.StringIO()
    logs.set_up("human", "info", stream)
    logging.getLogger("x").warning("hello", extra={"revision": 5})
    assert "WARN hello  revision=5" in stream.getvalue()


def test_an_exception_is_part_of_its_line() -> None:
    stream = io.StringIO()
    logs.set_up("json", "info", stream)
    try:
        raise RuntimeError("bug")
    except RuntimeError:
        logging.getLogger("x").exception("failed")
    [line] = stream.getvalue().splitlines()
    assert "RuntimeError: bug" in json.loads(line)["exception"]


def test_request_lines_of_libraries_stay_out() -> None:
    stream = io.StringIO()
    logs.set_up("json", "debug", stream)
    logging.getLogger("httpx").info("HTTP Request: GET …")
    assert stream.getvalue() == ""
