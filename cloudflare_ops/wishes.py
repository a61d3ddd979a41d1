"""Wishes to remove, common to `dns` and `tunnel`, and the proof they need when a write is composed."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Set
from dataclasses import dataclass
from typing import Any

from cloudflare_ops.coalesce import Ticket
from fsm.desired import TunnelRule
from fsm.errors import SessionError, StaleError, TransientError

Living = Callable[[Collection[str]], Awaitable[Set[str]]]


@dataclass(frozen=True)
class Remove:
    """Of what is ours of this session, only the names in `keep` are left; `recorded`: rules that its Pod holds."""

    session: str
    keep: tuple[str, ...]
    recorded: tuple[TunnelRule, ...] = ()


async def spare_living(tickets: Iterable[Ticket[Any]], living: Living, *, within: float) -> None:
    """Fail the removals of everything of a session that has a live Pod, or of which nobody can tell `within` seconds.

    The write rests on a read that gets old meanwhile: an API server that is slow to list Pods must not keep those
    from being served who only want something added.
    A removal with names to keep is the session's own renaming: it has a live Pod by its nature.
    """
    total = [t for t in tickets if isinstance(t.wish, Remove) and not t.wish.keep and t.error is None]
    if not total:
        return
    try:
        async with asyncio.timeout(within):
            alive = await living(sorted({ticket.wish.session for ticket in total}))
    except (SessionError, TimeoutError) as met:
        # A new one each time: one that is kept would grow with every raise.
        slow = TransientError("KubernetesUnavailable", "the API server took too long to tell which sessions live")
        for ticket in total:
            ticket.error = met if isinstance(met, SessionError) else slow
        return
    for ticket in total:
        if ticket.wish.session in alive:
            ticket.error = StaleError("SessionLives", "the session has a live Pod; nothing was removed")
