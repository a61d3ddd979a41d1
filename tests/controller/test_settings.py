"""What a person gets for an environment that cannot be used, and the defaults of one that can."""

import pytest

from cloudflare_ops.ingress import is_valid
from cloudflare_ops.ownership import COMMENT_LIMIT, render
from controller.settings import Settings, SettingsError
from fsm.desired import desired

GOOD = {
    "CF_API_TOKEN": "s3cr3t-token",
    "CF_ZONE_ID": "0123456789abcdef0123456789abcdef",
    "CF_TUNNEL_ID": "6ff42ae2-765d-4adf-8112-31c55c1551ef",
    "DOMAIN": "no-panic.org",
    "ROUTER_SERVICE_URL": "http://opencode-router.opencode-router.svc.cluster.local:80",
}


def problems_of(changes: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(GOOD | changes)
    return caught.value.problems


def test_the_fixed_defaults() -> None:
    settings = Settings.from_env(GOOD)
    assert settings.route_suffix == ""
    assert settings.watch_namespace == "opencode-router"
    assert settings.pod_label_selector == "app.kubernetes.io/managed-by=opencode-router"
    assert settings.ingressroute_namespace == "opencode-router"
    assert settings.oauth2_chain_middleware == "opencode-router-oauth2-chain"
    assert settings.router_service_name == "opencode-router"
    assert settings.health_port == 8080
    assert settings.owner_id == "opencode-router"
    assert settings.lease_duration == 15
    assert settings.call_limit <= 10


def test_namespaces_and_owner_follow_the_watched_namespace() -> None:
    settings = Settings.from_env(GOOD | {"WATCH_NAMESPACE": "dev"})
    assert (settings.ingressroute_namespace, settings.owner_id) == ("dev", "dev")


def test_an_empty_environment_names_every_required_variable_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({})
    assert [line.split(":")[0] for line in caught.value.problems] == list(GOOD)
    assert all("is not set; expected" in line for line in caught.value.problems)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("CF_API_TOKEN", "two words"),
        ("CF_API_TOKEN", "token\n"),
        ("CF_ZONE_ID", "no-panic.org"),
        ("CF_TUNNEL_ID", "my-tunnel"),
        ("DOMAIN", "https://no-panic.org"),
        ("DOMAIN", "No-Panic.org"),
        ("DOMAIN", "nodots"),
        ("ROUTE_SUFFIX", "dev"),
        ("ROUTE_SUFFIX", "-oc-"),
        ("ROUTE_SUFFIX", "-" + "a" * 51),
        ("ROUTER_SERVICE_URL", "opencode-router:80"),
        ("ROUTER_SERVICE_URL", "http://router/"),
        ("ROUTER_SERVICE_URL", "http://router:80x"),
        ("ROUTER_SERVICE_URL", "HTTP://router:80"),
        ("ROUTER_SERVICE_URL", "http://router:"),
        ("ROUTER_SERVICE_URL", "http://one,two"),
        ("HEALTH_PORT", "65536"),
        ("HEALTH_PORT", "eighty"),
        ("HEALTH_HOST", "a..b"),
        ("HEALTH_HOST", "a" * 64),
        ("OWNER_ID", "has space"),
        ("OWNER_ID", "x" * 53),
        ("OWNER_ID", "team/a"),
        ("OWNER_ID_PREVIOUS", "good,-bad"),
        ("LEASE_DURATION", "1"),
        ("RESYNC_INTERVAL", "-5"),
        ("ORPHAN_GRACE", "soon"),
        ("CF_REQUEST_BUDGET", "5000"),
        ("CLOUDFLARE_BASE_URL", "ftp://mirror.invalid"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
        ("POD_LABEL_SELECTOR", "a=b;c"),
        ("POD_LABEL_SELECTOR", "=,("),
        ("POD_LABEL_SELECTOR", "a=b,"),
        ("POD_LABEL_SELECTOR", "a in b"),
        ("POD_LABEL_SELECTOR", "a in (b"),
        ("POD_LABEL_SELECTOR", "!a=b"),
        ("POD_LABEL_SELECTOR", "Prefix/a"),
        ("POD_LABEL_SELECTOR", "a=" + "b" * 64),
    ],
)
def test_a_bad_value_is_named_with_what_was_expected_and_never_repeated(name: str, text: str) -> None:
    [line] = problems_of({name: text})
    assert line.startswith(f"{name}: is not valid; expected ")
    assert text not in line


@pytest.mark.parametrize(
    "selector",
    [
        "app.kubernetes.io/managed-by=opencode-router",
        "a==b",
        "a = b , c != d",
        "a,!b,! c",
        "a=,b!=",
        "tier in (front, back),env notin(test)",
        "a in ()",
    ],
)
def test_a_selector_may_be_any_of_kubernetes(selector: str) -> None:
    assert Settings.from_env(GOOD | {"POD_LABEL_SELECTOR": selector}).pod_label_selector == selector


@pytest.mark.parametrize("host", ["127.0.0.1", "::", "::1", "localhost", "Some-Host.example.org"])
def test_the_health_host_is_an_address_or_a_name(host: str) -> None:
    assert Settings.from_env(GOOD | {"HEALTH_HOST": host}).health_host == host


@pytest.mark.parametrize("url", ["http://r", "https://r:8443", "http://10.0.0.1:80", "http://[::1]:80"])
def test_a_service_that_is_taken_here_makes_a_rule_that_cloudflare_takes(url: str) -> None:
    profile = Settings.from_env(GOOD | {"ROUTER_SERVICE_URL": url}).profile
    assert all(map(is_valid, desired("8b6cc2aa9a45", profile).rules))


def test_every_owner_id_fits_into_the_mark_and_the_longest_can_be_a_former_one() -> None:
    longest = "x" * 52
    settings = Settings.from_env(GOOD | {"OWNER_ID": longest, "OWNER_ID_PREVIOUS": f"{longest[1:]}, Old.1"})
    assert len(render(settings.owner_id)) == COMMENT_LIMIT
    assert settings.owner_id_previous == (longest[1:], "Old.1")


def test_a_namespace_stands_for_the_owner_id_only_if_it_is_short_enough() -> None:
    assert Settings.from_env(GOOD | {"WATCH_NAMESPACE": "x" * 52}).owner_id == "x" * 52
    assert problems_of({"WATCH_NAMESPACE": "x" * 53}) == [
        "OWNER_ID: is not set, and WATCH_NAMESPACE is too long to stand for it; expected an owner id of at most 52 "
        "letters and digits, with - . _ between them"
    ]
    assert Settings.from_env(GOOD | {"WATCH_NAMESPACE": "x" * 53, "OWNER_ID": "short"}).owner_id == "short"


def test_all_problems_come_at_once() -> None:
    lines = problems_of({"DOMAIN": "x", "HEALTH_PORT": "0x", "LOG_LEVEL": "loud"})
    assert [line.split(":")[0] for line in lines] == ["DOMAIN", "HEALTH_PORT", "LOG_LEVEL"]


def test_the_token_is_not_in_the_settings_text() -> None:
    assert "s3cr3t" not in repr(Settings.from_env(GOOD))


def test_an_empty_optional_variable_counts_as_unset() -> None:
    assert Settings.from_env(GOOD | {"LOG_LEVEL": "", "OWNER_ID": ""}).owner_id == "opencode-router"
