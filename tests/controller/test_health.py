"""`/healthz` is 200 with reasons for everything that a restart would not mend, and 503 for what it would."""

import aiohttp

from controller.health import Health
from controller.metrics import Metrics
from controller.problems import Problems


async def ask(health: Health, path: str) -> tuple[int, str]:
    runner, port = await health.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}{path}") as reply:
            return reply.status, await reply.text()
    finally:
        await runner.cleanup()


def health_of(stuck: str = "", problems: Problems | None = None) -> Health:
    metrics, problems = Metrics(), problems or Problems()
    return Health(
        status=lambda: {"role": "leader", "problems": problems.report()},
        stuck=lambda: stuck,
        refresh=lambda: metrics.problems.set(len(problems.report())),
        metrics=metrics,
    )


async def test_problems_of_the_world_are_told_with_200() -> None:
    problems = Problems()
    problems.tell("cloudflare", "TokenInvalid: renew CF_API_TOKEN")
    status, body = await ask(health_of(problems=problems), "/healthz")
    assert status == 200
    assert '"TokenInvalid: renew CF_API_TOKEN"' in body
    assert '"role": "leader"' in body


async def test_what_only_a_restart_mends_is_503_with_its_name() -> None:
    status, body = await ask(health_of(stuck="the lease task has not finished a try for 60 s"), "/healthz")
    assert status == 503
    assert "lease task" in body


async def test_metrics_are_rendered_and_refreshed() -> None:
    problems = Problems()
    problems.tell("a", "b")
    status, body = await ask(health_of(problems=problems), "/metrics")
    assert status == 200
    assert "opencode_cloudflare_operator_problems 1.0" in body
