"""The HTTP server for probes and scrapers: `/healthz` and `/metrics`. `app` brings the facts, nothing is decided twice.

A Pod is ready when all its containers are, so a sidecar that says "not healthy" takes the router out of its Service:
503 is only for what a restart would mend. Everything else is 200 with the reason in the body.
"""

from collections.abc import Callable, Mapping

from aiohttp import web
from prometheus_client import generate_latest

from controller.metrics import Metrics

Status = Mapping[str, object]


class Health:
    """`status` gives the body of `/healthz`; `stuck` names what only a restart mends, or is empty."""

    def __init__(
        self, *, status: Callable[[], Status], stuck: Callable[[], str], refresh: Callable[[], None], metrics: Metrics
    ) -> None:
        self._status = status
        self._stuck = stuck
        self._refresh = refresh
        self._metrics = metrics

    async def start(self, host: str | None, port: int) -> tuple[web.AppRunner, int]:
        """Serve; returns what to clean up in the end, and the port (the given one, or a free one for 0).

        Raises:
            OSError: the port cannot be had.
        """
        app = web.Application()
        app.add_routes([web.get("/healthz", self._healthz), web.get("/metrics", self._scrape)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError:
            await runner.cleanup()
            raise
        return runner, runner.addresses[0][1]

    async def _healthz(self, _: web.Request) -> web.Response:
        stuck = self._stuck()
        body = {"status": "stuck" if stuck else "ok", **({"stuck": stuck} if stuck else {}), **self._status()}
        return web.json_response(body, status=503 if stuck else 200)

    async def _scrape(self, _: web.Request) -> web.Response:
        self._refresh()
        return web.Response(body=generate_latest(self._metrics.registry), content_type="text/plain", charset="utf-8")
