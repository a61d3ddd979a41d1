"""The proof before a removal: who is asked about, and what becomes of those who live or of whom nobody can tell."""

import asyncio
from collections.abc import Collection
from typing import Any

from cloudflare_ops.coalesce import Ticket
from cloudflare_ops.wishes import Remove, spare_living
from fsm.errors import TransientError
from tests.k8s.virtual import virtual


class Living:
    def __init__(self, *alive: str, error: Exception | None = None, pause: float = 0.0) -> None:
        self.alive = set(alive)
        self.error = error
        self.pause = pause
        self.asked: list[list[str]] = []

    async def __call__(self, sessions: Collection[str]) -> set[str]:
        self.asked.append(list(sessions))
        await asyncio.sleep(self.pause)
        if self.error:
            raise self.error
        return self.alive


def tickets(*wishes: Any) -> list[Ticket[Any]]:
    return [Ticket(wish, 0.0) for wish in wishes]


@virtual
async def test_who_lives_keeps_everything_and_the_others_go() -> None:
    living = Living("a")
    total = tickets(Remove("b", ()), Remove("a", ()), "another wish", Remove("a", ("kept",)))
    await spare_living(total, living, within=1.0)
    assert living.asked == [["a", "b"]]
    text = "SessionLives: the session has a live Pod; nothing was removed"
    assert [ticket.error and str(ticket.error) for ticket in total] == [None, text, None, None]


@virtual
async def test_nobody_is_asked_when_nothing_is_removed_for_good_or_it_has_failed_already() -> None:
    living = Living("a")
    total = tickets(Remove("a", ("kept",)), "another wish", Remove("a", ()))
    total[2].error = TransientError("CloudflareError", "no")
    await spare_living(total, living, within=1.0)
    assert living.asked == []
    assert str(total[2].error) == "CloudflareError: no"


@virtual
async def test_when_nobody_can_tell_the_removals_fail_with_the_reason_and_nothing_else_does() -> None:
    total = tickets(Remove("a", ()), "another wish")
    await spare_living(total, Living(error=TransientError("KubernetesUnavailable", "no answer")), within=1.0)
    assert [ticket.error and str(ticket.error) for ticket in total] == ["KubernetesUnavailable: no answer", None]
    total = tickets(Remove("a", ()), "another wish")
    await spare_living(total, Living(pause=2.0), within=1.0)
    text = "KubernetesUnavailable: the API server took too long to tell which sessions live"
    assert [ticket.error and str(ticket.error) for ticket in total] == [text, None]
    again = tickets(Remove("a", ()))
    await spare_living(again, Living(pause=2.0), within=1.0)
    assert again[0].error is not total[0].error, "one that is kept grows with every raise"
