"""An effect becomes an outcome: `reconcile` calls it, the adapters do the work, exceptions end here.

Only cancellation passes. What a session cannot help (a lost lease, an object that changed meanwhile) is `Waiting`
without an error: no attempt is counted, the session is decided anew.
"""

import asyncio
import logging
from typing import assert_never

from controller.ports import Dns, Routes, Tunnel
from fsm.effects import (
    Effect,
    EnsureDns,
    EnsureRoutes,
    EnsureTunnelRules,
    RemoveDns,
    RemoveRoutes,
    RemoveTunnelRules,
    VerifyReady,
)
from fsm.errors import ConflictError, PermanentError, SessionError, SharedError, TransientError
from fsm.outcome import Conflict, Done, Failed, Outcome, Retry, Waiting

_log = logging.getLogger(__name__)


class Performer:
    """Carries effects out on the three parts of the world."""

    def __init__(self, dns: Dns, tunnel: Tunnel, routes: Routes) -> None:
        self._dns = dns
        self._tunnel = tunnel
        self._routes = routes

    async def __call__(self, effect: Effect) -> Outcome:
        """What came of `effect`; never raises but for cancellation."""
        try:
            await self._carry_out(effect)
        except SessionError as error:
            return _outcome(error)
        except Exception as error:
            _log.exception("an effect failed in an unknown way: this is a bug")
            return Retry(f"InternalError: {type(error).__name__}, see the operator's log")
        return Done()

    async def _carry_out(self, effect: Effect) -> None:
        match effect:
            case EnsureDns(records, since):
                await self._dns.ensure(records, since)
            case EnsureTunnelRules(rules, recorded, since):
                await self._tunnel.ensure(rules, recorded, since)
            case EnsureRoutes(routes, since):
                await self._routes.ensure(routes, since)
            case VerifyReady(since):
                await self._look(since)
            case RemoveRoutes(session, keep):
                await self._routes.remove(session, keep)
            case RemoveTunnelRules(session, keep, recorded):
                await self._tunnel.remove(session, keep, recorded)
            case RemoveDns(session, keep):
                await self._dns.remove(session, keep)
            case _:
                assert_never(effect)

    async def _look(self, since: float) -> None:
        looks = (self._dns.look(since), self._tunnel.look(since), self._routes.look(since))
        results = await asyncio.gather(*looks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result


def _outcome(error: SessionError) -> Outcome:
    match error:
        case TransientError():
            return Retry(str(error), error.retry_after or 0.0)
        case ConflictError():
            return Conflict(str(error))
        case PermanentError():
            return Failed(str(error))
        case SharedError():
            return Waiting(str(error))
        case _:  # StaleError, GoneError, NotLeadingError
            return Waiting()
