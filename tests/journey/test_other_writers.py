"""Somebody else writes the tunnel's document, too: never lost without a word, and our rules come back."""

from typing import Any

import aiohttp

from sandbox.operators import Replica
from sandbox.stage import DOMAIN, FOREIGN_TUNNEL, Stage
from tests.journey import play

THEIRS = {"hostname": f"theirs.{DOMAIN}", "service": "http://theirs:80"}


async def test_an_edit_between_our_read_and_our_write_is_reported_everywhere(stage: Stage) -> None:
    operator = await play.started(stage, RESYNC_INTERVAL="1")
    theirs = {"match": {"method": "PUT", "path": play.CONFIGURATION}, "insert": [THEIRS], "times": 1}
    stage.switchboard.faults.replace([theirs])
    await stage.kube.create_session(play.HASH)
    await play.ready(stage, play.HASH)
    text = await play.problem(operator, "TunnelOverwritten")
    assert text == (
        "TunnelOverwritten: somebody wrote the tunnel configuration between our read of version 1 and our write of "
        "version 3; their edit may be lost. Apply it again, and see the README on other writers"
    )
    assert text in operator.log.read_text()
    assert await _overwrites(operator) == 1
    # They do as they were told, and nothing of it is lost a second time.
    _write(stage, [THEIRS, *stage.rules()])
    await stage.kube.create_session(play.OTHER)
    await play.ready(stage, play.HASH, play.OTHER)
    assert THEIRS in stage.rules()
    assert await _overwrites(operator) == 1


async def test_our_rules_come_back_after_a_tool_reset_the_document(stage: Stage) -> None:
    await play.started(stage, RESYNC_INTERVAL="1")
    sessions = play.hashes(3)
    for session in sessions:
        await stage.kube.create_session(session)
    await play.ready(stage, *sessions)
    stage.world.tunnel.configure({**FOREIGN_TUNNEL, "ingress": [THEIRS, *FOREIGN_TUNNEL["ingress"]]}, play.NOW)
    for session in sessions:
        assert (await play.news(stage, session, "TunnelRuleLost"))["type"] == "Warning"
    await play.ready(stage, *sessions)
    ours = [{"hostname": play.host(session), "service": stage.router} for session in sessions]
    assert [rule for rule in stage.rules() if rule not in ours] == [THEIRS, *FOREIGN_TUNNEL["ingress"]]
    for session in sessions:
        assert (await stage.visit(session))[0] == 200


async def test_somebody_who_resets_it_again_and_again_meets_a_backoff(stage: Stage) -> None:
    await play.started(stage, RESYNC_INTERVAL="1")
    await stage.kube.create_session(play.HASH)
    async with play.diary(stage) as book:
        await play.ready(stage, play.HASH)
        for count in (1, 2):
            stage.world.tunnel.configure(FOREIGN_TUNNEL, play.NOW)

            # In the diary: the first repair is so quick that a look at the Pod may come too late.
            async def look(count: int = count) -> bool:
                return _losses(book) == count

            await play.until(look, "TunnelRuleLost")
            await play.ready(stage, play.HASH)
    attempts = [texts["attempts"] for texts in book.records[play.HASH]]
    assert list(dict.fromkeys(attempts)) == ["0", "1", "2"]
    # The first repair is made at once, the second one has to wait.
    fallen = [texts for texts in book.records[play.HASH] if "last-error" in texts]
    assert ["retry-at" in texts for texts in fallen] == [False, True]
    assert (await stage.visit(play.HASH))[0] == 200


def _losses(book: play.Diary) -> int:
    return sum(texts.get("last-error", "").startswith("TunnelRuleLost") for texts in book.records[play.HASH])


def _write(stage: Stage, ingress: list[dict[str, Any]]) -> None:
    stage.world.tunnel.configure({**(stage.world.tunnel.config or {}), "ingress": ingress}, play.NOW)


async def _overwrites(operator: Replica) -> float:
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{await operator.port()}/metrics") as reply:
        lines = (await reply.text()).splitlines()
    name = "opencode_cloudflare_operator_tunnel_overwrites_total "
    return next(float(line.split()[-1]) for line in lines if line.startswith(name))
