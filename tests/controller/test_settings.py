"""What a person gets for an environment that cannot be used, and the defaults of one that can."""

import pytest

from controller.settings import Settings, SettingsError

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
        ("HEALTH_PORT", "65536"),
        ("HEALTH_PORT", "eighty"),
        ("OWNER_ID", "has space"),
        ("OWNER_ID", "x" * 46),
        ("OWNER_ID_PREVIOUS", "good,Bad"),
        ("LEASE_DURATION", "1"),
        ("RESYNC_INTERVAL", "-5"),
        ("ORPHAN_GRACE", "soon"),
        ("CF_REQUEST_BUDGET", "5000"),
        ("CLOUDFLARE_BASE_URL", "ftp://mirror.invalid"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
        ("POD_LABEL_SELECTOR", "a=b;c"),
    ],
)
def test_a_bad_value_is_named_with_what_was_expected_and_never_repeated(name: str, text: str) -> None:
    [line] = problems_of({name: text})
    assert line.startswith(f"{name}: is not valid; expected ")
    assert text not in line


def test_all_problems_come_at_once() -> None:
    lines = problems_of({"DOMAIN": "x", "HEALTH_PORT": "0x", "LOG_LEVEL": "loud"})
    assert [line.split(":")[0] for line in lines] == ["DOMAIN", "HEALTH_PORT", "LOG_LEVEL"]


def test_the_token_is_not_in_the_settings_text() -> None:
    assert "s3cr3t" not in repr(Settings.from_env(GOOD))


def test_an_empty_optional_variable_counts_as_unset() -> None:
    assert Settings.from_env(GOOD | {"LOG_LEVEL": "", "OWNER_ID": ""}).owner_id == "opencode-router"
