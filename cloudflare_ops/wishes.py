"""Wishes to remove, common to `dns` and `tunnel`, and the proof they need when a write is composed."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cloudflare_ops.coalesce import PostponedError, Ticket
from fsm.desired import TunnelRule
from fsm.errors import SessionError, StaleError

Living = Callable[[Collection[str], float], Awaitable[Mapping[str, bool]]]


@dataclass(frozen=True)
class Remove:
    """Of what is ours of this session, only the names in `keep` are left; `recorded`: rules that its Pod holds."""

    session: str
    keep: tuple[str, ...]
    recorded: tuple[TunnelRule, ...] = ()


async def spare_living(tickets: Iterable[Ticket[Any]], living: Living, *, within: float) -> None:
    """Fail the removals of everything of a session that has a live Pod; postpone those of which nobody can tell
    `within` seconds, or fail all of them when that is so of each.

    The write rests on a read that gets old meanwhile: an API server that is slow to list Pods must not keep those
    from being served who only want something added. Nor may a thousand removals, of which only half can be told in
    time, fail together for ever: each would write its failure on its Pod, which slows down the next question.
    A removal with names to keep is the session's own renaming: it has a live Pod by its nature.
    """
    total = [t for t in tickets if isinstance(t.wish, Remove) and not t.wish.keep and t.error is None]
    if not total:
        return
    try:
        lives = await living([ticket.wish.session for ticket in total], within)
    except SessionError as error:
        for ticket in total:
            ticket.error = error
        return
    for ticket in total:
        if ticket.wish.session not in lives:
            ticket.error = PostponedError()
        elif lives[ticket.wish.session]:
            ticket.error = StaleError("SessionLives", "the session has a live Pod; nothing was removed")
