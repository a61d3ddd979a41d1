"""Trouble that is everybody's (token, quota, zone, tunnel): what a person reads, and that it ends by itself."""

import pytest

from sandbox.cloudflare.access import ALL_RIGHTS
from sandbox.cloudflare.world import TOKEN
from sandbox.stage import Stage
from tests.journey import play

pytestmark = pytest.mark.usefixtures("untouched")

RIGHTS = (
    "Give CF_API_TOKEN a token with Zone:DNS:Edit and Zone:Read on the zone and Account:Cloudflare Tunnel:Edit on its "
    "account"
)


@pytest.mark.parametrize(
    ("token", "text"),
    [
        (f"{TOKEN}-read", f"TokenForbidden: the API token lacks a right (10000: Authentication error). {RIGHTS}"),
        (
            f"{TOKEN}-lost",
            f"TokenInvalid: Cloudflare does not accept the API token (9109: Invalid access token). {RIGHTS}",
        ),
    ],
)
async def test_a_token_that_is_not_good_enough_is_told_everywhere(stage: Stage, token: str, text: str) -> None:
    operator = await play.started(stage, CF_API_TOKEN=token)
    await stage.kube.create_session(play.HASH)
    reason, _, note = text.partition(": ")
    assert (await play.told(stage, play.HASH, reason))["last-error"] == text
    event = await play.news(stage, play.HASH, reason)
    assert (event["type"], event["note"]) == ("Warning", note)
    assert await play.problem(operator, reason) == text


async def test_a_full_zone_holds_back_new_sessions_alone_until_there_is_room(stage: Stage) -> None:
    stage.world.records.quota = len(stage.world.records.all()) + 1
    operator = await play.started(stage)
    await stage.kube.create_session(play.HASH)
    await play.ready(stage, play.HASH)
    await stage.kube.create_session(play.OTHER)
    texts = await play.told(stage, play.OTHER, "RecordQuotaExceeded")
    assert texts["last-error"] == (
        "RecordQuotaExceeded: the zone's DNS record quota is used up. Delete records that nobody needs, or move the "
        "zone to a plan with more; waiting sessions then go on by themselves"
    )
    assert (await play.news(stage, play.OTHER, "RecordQuotaExceeded"))["type"] == "Warning"
    assert await play.problem(operator, "RecordQuotaExceeded") == texts["last-error"]
    assert (await stage.visit(play.HASH))[0] == 200
    await stage.kube.delete_session(play.HASH)  # which makes room
    await play.ready(stage, play.OTHER)
    await play.no_problem(operator)


async def test_sessions_that_wait_for_the_quota_go_on_when_somebody_else_makes_room(stage: Stage) -> None:
    stage.world.records.quota = len(stage.world.records.all())
    await play.started(stage)
    sessions = play.hashes(3)
    for session in sessions:
        await stage.kube.create_session(session)
        await play.told(stage, session, "RecordQuotaExceeded")
    stage.world.records.quota += len(sessions)
    await play.ready(stage, *sessions)


async def test_a_locally_managed_tunnel_is_told_and_its_migration_noticed(stage: Stage) -> None:
    stage.world.tunnel.source = "local"
    operator = await play.started(stage)
    await stage.kube.create_session(play.HASH)
    texts = await play.told(stage, play.HASH, "TunnelLocallyManaged")
    assert texts["last-error"] == (
        "TunnelLocallyManaged: the tunnel takes its rules from a file beside cloudflared. Migrate it to remote "
        "management in the dashboard, or set CF_TUNNEL_ID to a tunnel that is"
    )
    await play.news(stage, play.HASH, "TunnelLocallyManaged")
    await play.problem(operator, "TunnelLocallyManaged")
    assert not play.calls_of(stage, "PUT")
    stage.world.tunnel.source = "cloudflare"
    await play.ready(stage, play.HASH)
    await play.no_problem(operator)


async def test_a_deleted_tunnel_is_told(stage: Stage) -> None:
    stage.world.tunnel.is_deleted = True
    operator = await play.started(stage)
    await stage.kube.create_session(play.HASH)
    texts = await play.told(stage, play.HASH, "TunnelNotFound")
    assert texts["last-error"].startswith(
        "TunnelNotFound: the tunnel does not exist in the zone's account, or was deleted (1055: "
    )
    assert texts["last-error"].endswith("Check CF_TUNNEL_ID, or make the tunnel again and set its id")
    await play.news(stage, play.HASH, "TunnelNotFound")
    await play.problem(operator, "TunnelNotFound")


async def test_another_zone_than_the_domains_is_told(stage: Stage) -> None:
    operator = await play.started(stage, DOMAIN="example.net")
    await stage.kube.create_session(play.HASH)
    texts = await play.told(stage, play.HASH, "DomainNotInZone")
    assert texts["last-error"] == (
        "DomainNotInZone: example.net is not in the zone example.org. Set DOMAIN or CF_ZONE_ID so that they fit"
    )
    await play.problem(operator, "DomainNotInZone")
    assert not play.writes(stage)


async def test_a_zone_that_does_not_exist_is_told(stage: Stage) -> None:
    operator = await play.started(stage, CF_ZONE_ID="f" * 32)
    await stage.kube.create_session(play.HASH)
    texts = await play.told(stage, play.HASH, "ZoneNotFound")
    assert texts["last-error"].endswith("Check CF_ZONE_ID and the token's zone")
    await play.problem(operator, "ZoneNotFound")


async def test_a_token_that_is_mended_is_noticed_and_ready_sessions_were_never_disturbed(stage: Stage) -> None:
    operator = await play.started(stage)
    await stage.kube.create_session(play.HASH)
    await play.ready(stage, play.HASH)
    before = (await stage.kube.annotations())[play.HASH]
    stage.world.access.grant({})
    await stage.kube.create_session(play.OTHER)
    await play.told(stage, play.OTHER, "TokenInvalid")
    await play.problem(operator, "TokenInvalid")
    assert (await stage.kube.annotations())[play.HASH] == before
    assert (await stage.visit(play.HASH))[0] == 200
    stage.world.access.grant({TOKEN: ALL_RIGHTS})
    await play.ready(stage, play.OTHER)
    await play.no_problem(operator)
    assert (await stage.kube.annotations())[play.HASH] == before
