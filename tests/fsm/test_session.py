"""A hash and the names made of it, there and back."""

import pytest

from fsm.session import Profile, hash_of_hostname, hash_of_route, hostname, is_hash
from tests.builders import HASH, PROFILE


def test_a_hash_is_twelve_lower_case_hex_digits() -> None:
    assert is_hash(HASH)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8b6cc2aa9a4",
        "8b6cc2aa9a455",
        "8B6CC2AA9A45",
        "8b6cc2aa9a4g",
        "8b6cc2aa9a45\n",
        " 8b6cc2aa9a45",
        "8b6cc2aa9a4٣",
        "8b6cc2aa9a4五",
    ],
)
def test_nothing_else_is_one(text: str) -> None:
    assert not is_hash(text)


def test_the_hostname_is_one_label_under_the_domain() -> None:
    assert hostname(HASH, PROFILE) == "8b6cc2aa9a45-oc.no-panic.org"


def test_without_a_suffix_the_label_is_the_hash() -> None:
    profile = Profile("no-panic.org", "", "http://r:80", "t", "ns", "r", "m", "o")
    assert hostname(HASH, profile) == "8b6cc2aa9a45.no-panic.org"


@pytest.mark.parametrize(
    "name",
    [
        "8b6cc2aa9a45-oc.no-panic.org",
        "8b6cc2aa9a45.no-panic.org",
        "8b6cc2aa9a45-other-one.elsewhere.example",
        HASH + ".x",
    ],
)
def test_the_hash_is_found_in_every_suffix_and_domain(name: str) -> None:
    assert hash_of_hostname(name) == HASH


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        HASH,
        HASH + ".",
        "www.no-panic.org",
        "*.no-panic.org",
        "no-panic.org",
        "8b6cc2aa9a45oc.no-panic.org",
        "8b6cc2aa9a45-.no-panic.org",
        "8b6cc2aa9a45_oc.no-panic.org",
        "8B6CC2AA9A45-oc.no-panic.org",
        "8b6cc2aa9a455.no-panic.org",
        "x8b6cc2aa9a45.no-panic.org",
        "attach-8b6cc2aa9a45.no-panic.org",
        "8b6cc2aa9a45-oc\n.no-panic.org",
        "sub.8b6cc2aa9a45-oc.no-panic.org",
    ],
)
def test_a_name_of_another_shape_is_no_sessions(name: str) -> None:
    assert hash_of_hostname(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "opencode-session-8b6cc2aa9a45-oc-signin",
        "opencode-session-8b6cc2aa9a45-oc-app",
        "opencode-session-8b6cc2aa9a45-app",
        "opencode-session-8b6cc2aa9a45-app-app",
    ],
)
def test_the_hash_is_found_in_a_routes_name(name: str) -> None:
    assert hash_of_route(name) == HASH


@pytest.mark.parametrize(
    "name",
    [
        "",
        "opencode-session-8b6cc2aa9a45",
        "opencode-session-8b6cc2aa9a45-oc",
        "opencode-session-8b6cc2aa9a45-oc-web",
        "opencode-session-8b6cc2aa9a45--app",
        "opencode-session-8b6cc2aa9a45-oc-app\n",
        "opencode-session-8b6cc2aa9a4-oc-app",
        "my-opencode-session-8b6cc2aa9a45-oc-app",
    ],
)
def test_a_route_of_another_name_is_no_sessions(name: str) -> None:
    assert hash_of_route(name) is None
