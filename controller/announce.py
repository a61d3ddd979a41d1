"""News about the operator itself as Events on its own Pod: what `/healthz` calls a problem is also found by people who
only look at `kubectl describe pod`.

`app` runs it on every replica. A problem is told once when it appears or changes its text; one that goes and comes back
is the same Event again, counted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Never

from controller.ports import Events
from fsm.errors import SessionError
from fsm.observation import PodFacts

INTERVAL = 5.0  # seconds between two looks: trouble that is over by then is no news


class Announcer:
    """`problems` is topic -> text (reason first), `own_pod` finds the object of the Events."""

    def __init__(
        self,
        *,
        problems: Callable[[], Mapping[str, str]],
        own_pod: Callable[[], Awaitable[PodFacts]],
        events: Events,
    ) -> None:
        self._problems = problems
        self._own_pod = own_pod
        self._events = events
        self._told: Mapping[str, str] = {}

    async def run(self) -> Never:
        """Look again and again; never returns."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.once()

    async def once(self) -> None:
        """Tell what is new since the last time; what cannot be told now is told the next time."""
        problems = dict(self._problems())
        news = [text for topic, text in problems.items() if self._told.get(topic) != text]
        if news and not await self._tell(news):
            return
        self._told = problems

    async def _tell(self, news: list[str]) -> bool:
        try:
            pod = await self._own_pod()
        except SessionError:
            return False  # outside of a Pod, or the API server is the problem
        for text in news:
            reason, _, note = text.partition(": ")
            await self._events.post(pod, reason=reason, note=note or text, warning=True)
        return True
