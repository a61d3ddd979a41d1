"""`cloudflare_ops.transport.Transport` without a wire: the sandbox's pure world behind the simulated network."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from cloudflare_ops.transport import NoReplyError, Reply
from sandbox.cloudflare.envelope import Request
from sandbox.cloudflare.world import TOKEN, World
from tests.property.simulation.loop import REPLICA, copied
from tests.property.simulation.monitor import Monitor
from tests.property.simulation.network import Fault, FaultyError, LostError, Network

RETRY_AFTER = 20  # seconds


class SimulatedTransport:
    """One replica's way to Cloudflare."""

    def __init__(
        self,
        world: World,
        network: Network,
        monitor: Monitor,
        wall: Callable[[], float],
        intrude: Callable[[], None],
    ) -> None:
        self._world = world
        self._network = network
        self._monitor = monitor
        self._wall = wall
        self._intrude = intrude

    async def request(
        self, method: str, path: str, params: Mapping[str, Any] | None, body: object, timeout: float
    ) -> Reply:
        del timeout  # the client has its own
        replica = REPLICA.get()
        query = {key: str(value) for key, value in (params or {}).items()}
        token = "revoked" if self._network.is_revoked else TOKEN
        request = Request(method, path, query, {"authorization": f"Bearer {token}"}, copied(body))
        asked = self._monitor.cloudflare_asked(replica, request)
        try:
            reply = await self._network.exchange("cloudflare", lambda: self._effect(replica, request), _cut_short)
        except LostError as error:
            self._monitor.cloudflare_lost(replica, sent=error.sent)
            raise NoReplyError(sent=error.sent) from None
        except asyncio.CancelledError:
            self._monitor.cloudflare_lost(replica, sent=True)
            raise
        except FaultyError as error:
            if error.fault is Fault.THROTTLED:
                self._monitor.cloudflare_throttled(replica, RETRY_AFTER)
            else:
                self._monitor.cloudflare_lost(replica, sent=True)  # a write's fate is as unknown
            return _faulty(error.fault)
        self._monitor.cloudflare_answered(replica, request, reply, asked)
        return reply

    def _effect(self, replica: int, request: Request) -> Reply:
        if request.method == "PUT":
            self._intrude()
        with self._monitor.cloudflare_effect(replica, request):
            answer = self._world.handle(request, self._wall())
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status, headers, copied(answer.body))


def _faulty(fault: Fault) -> Reply:
    status = 429 if fault is Fault.THROTTLED else 502
    headers = {"retry-after": str(RETRY_AFTER)} if fault is Fault.THROTTLED else {}
    errors = [{"code": 971 if fault is Fault.THROTTLED else 502, "message": "no"}]
    return Reply(status, headers, {"success": False, "errors": errors, "messages": [], "result": None})


def _cut_short(reply: Reply) -> Reply:
    """A list that says that there are more than it tells."""
    body: Any = reply.body
    if not isinstance(body.get("result"), list):
        return reply
    return Reply(reply.status, reply.headers, body | {"result": body["result"][: len(body["result"]) // 2]})
