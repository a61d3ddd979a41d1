"""News about the operator itself as Events on its own Pod: what `/healthz` calls a problem is also found by people who
only look at `kubectl describe pod`.

`app` runs it on every replica. A problem is told once when it appears or changes its text; one that goes and comes back
is the same Event again, counted.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Never

from controller.ports import Events
from fsm.errors import SessionError
from fsm.observation import PodFacts

_log = logging.getLogger(__name__)

INTERVAL = 5.0  # seconds between two looks: trouble that is over by then is no news
AGAIN = 30.0  # seconds until the next try of what could not be told


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
        self._told: dict[str, str] = {}

    async def run(self) -> Never:
        """Look again and again; never returns."""
        pause = INTERVAL
        while True:
            await asyncio.sleep(pause)
            pause = AGAIN
            try:
                if await self.once():
                    pause = INTERVAL
            except Exception:
                # It would end the process, with everybody's hostnames in its hands.
                _log.exception("the news could not be told: this is a bug")

    async def once(self) -> bool:
        """Tell what is new since the last time; whether all of it is told now. The rest is told the next time."""
        problems = dict(self._problems())
        self._told = {topic: text for topic, text in self._told.items() if topic in problems}
        news = {topic: text for topic, text in problems.items() if self._told.get(topic) != text}
        return not news or await self._tell(news)

    async def _tell(self, news: Mapping[str, str]) -> bool:
        try:
            pod = await self._own_pod()
        except SessionError:
            return False  # outside of a Pod, or the API server is the problem
        for topic, text in news.items():
            reason, _, note = text.partition(": ")
            if await self._events.post(pod, reason=reason, note=note or text, warning=True):
                self._told[topic] = text
        return all(self._told.get(topic) == text for topic, text in news.items())
