"""What `dns` knows before `tunnel`: a session that comes alone has its record posted now, and wants its rule next.

The document is read beside that post instead of after it: no call more, and a session that comes alone waits for two
calls instead of three.
"""

import asyncio
import math


class Foresight:
    """A note from one writer to the other; a second one replaces the first."""

    def __init__(self) -> None:
        self._since = -math.inf
        self._noted = asyncio.Event()

    def tell(self, since: float) -> None:
        """Whoever comes next needs evidence from `since` or later (monotonic seconds)."""
        self._since = since
        self._noted.set()

    async def told(self) -> float:
        """Return the `since` of the next note, or of one that waits."""
        await self._noted.wait()
        self._noted.clear()
        return self._since
