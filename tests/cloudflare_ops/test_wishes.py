"""The proof before a removal: who is asked about, and what becomes of those who live or of whom nobody can tell."""

from collections.abc import Collection
from typing import Any

from cloudflare_ops.coalesce import PostponedError, Ticket
from cloudflare_ops.wishes import Remove, spare_living
from fsm.errors import SessionError, StaleError, TransientError


class Living:
    """Tells of the first `known` who are asked for."""

    def __init__(self, *alive: str, known: int = 9, error: SessionError | None = None) -> None:
        self.alive = alive
        self.known = known
        self.error = error
        self.asked: list[tuple[list[str], float]] = []

    async def __call__(self, sessions: Collection[str], within: float) -> dict[str, bool]:
        self.asked.append((list(sessions), within))
        if self.error:
            raise self.error
        return {session: session in self.alive for session in list(sessions)[: self.known]}


def tickets(*wishes: Any) -> list[Ticket[Any]]:
    return [Ticket(wish, 0.0) for wish in wishes]


async def test_who_lives_keeps_everything_and_the_others_go() -> None:
    living = Living("a")
    total = tickets(Remove("b", ()), Remove("a", ()), "another wish", Remove("a", ("kept",)))
    await spare_living(total, living, within=1.0)
    assert living.asked == [(["b", "a"], 1.0)], "in their order"
    text = "SessionLives: the session has a live Pod; nothing was removed"
    assert [ticket.error and str(ticket.error) for ticket in total] == [None, text, None, None]


async def test_nobody_is_asked_when_nothing_is_removed_for_good_or_it_has_failed_already() -> None:
    living = Living("a")
    total = tickets(Remove("a", ("kept",)), "another wish", Remove("a", ()))
    total[2].error = TransientError("CloudflareError", "no")
    await spare_living(total, living, within=1.0)
    assert living.asked == []
    assert str(total[2].error) == "CloudflareError: no"


async def test_when_nobody_can_tell_the_removals_fail_with_the_reason_and_nothing_else_does() -> None:
    total = tickets(Remove("a", ()), "another wish", Remove("b", ()))
    no = TransientError("KubernetesUnavailable", "no answer")
    await spare_living(total, Living(error=no), within=1.0)
    assert [ticket.error for ticket in total] == [no, None, no]


async def test_those_of_whom_nobody_could_tell_in_time_are_postponed_and_nobody_else_is() -> None:
    total = tickets(Remove("a", ()), Remove("b", ()), "another wish", Remove("c", ()), Remove("d", ("kept",)))
    await spare_living(total, Living("b", known=2), within=1.0)
    assert [type(ticket.error) for ticket in total] == [
        type(None),
        StaleError,
        type(None),
        PostponedError,
        type(None),
    ]
