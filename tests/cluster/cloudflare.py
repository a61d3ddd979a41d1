"""Cloudflare for the cluster tests: the sandbox's API and edge, over HTTP, on a thread of their own.

`site.py` starts one for each test. The world belongs to the server's event loop: tests look at it, and turn its knobs,
through `ask`.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from fsm.session import hash_of_hostname
from sandbox.cloudflare.server import Places, running
from sandbox.cloudflare.switchboard import Switchboard
from sandbox.cloudflare.world import World

T = TypeVar("T")

ANSWER_WITHIN = 30.0  # seconds


class Cloudflare:
    """A running one; `places` is where it listens."""

    def __init__(self, places: Places, board: Switchboard, loop: asyncio.AbstractEventLoop) -> None:
        self.places = places
        self._board = board
        self._loop = loop

    def ask(self, look: Callable[[Switchboard], T]) -> T:
        """What `look` finds, or does, between two requests."""

        async def asked() -> T:
            return look(self._board)

        return _run(self._loop, asked())

    def break_with(self, *rules: dict[str, Any]) -> None:
        """Put these faults (`sandbox.cloudflare.faults`) in the place of all others; none: it works again."""
        self.ask(lambda board: board.faults.replace(list(rules)))

    def records(self) -> list[dict[str, Any]]:
        """Every record of the zone."""
        return self.ask(lambda board: [dict(record) for record in board.world.records.all()])

    def rules(self) -> list[dict[str, Any]]:
        """The tunnel's rules, in order."""
        return self.ask(lambda board: list((board.world.tunnel.config or {}).get("ingress") or ()))

    def of_sessions(self) -> list[str]:
        """The records and rules under the name of a session, whoever made them."""
        records = [str(record["name"]) for record in self.records()]
        hosts = [str(rule.get("hostname")) for rule in self.rules()]
        return [
            *(f"record {name}" for name in records if hash_of_hostname(name)),
            *(f"rule {host}" for host in hosts if hash_of_hostname(host)),
        ]


@contextlib.contextmanager
def cloudflare(world: World) -> Iterator[Cloudflare]:
    """Cloudflare with this world; gone when the context ends."""
    board, loop = Switchboard(world), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="cloudflare")
    thread.start()
    server = running(world, switchboard=board)
    try:
        places = _run(loop, server.__aenter__())
        try:
            yield Cloudflare(places, board, loop)
        finally:
            # Also after a test that failed: what it left open would fail the next one, too.
            _run(loop, server.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _run(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run_coroutine_threadsafe(work, loop).result(ANSWER_WITHIN)
