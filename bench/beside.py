"""Work that goes on beside a block, and whose failure ends the block: no row waits for what will never come.

`rows`, `bursts`, `process` and `watching` use it; what comes out is the failure, in a group. (A task of
`controller.background` dies unheard.)
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def beside(work: Callable[[], Coroutine[Any, Any, object]]) -> AsyncIterator[None]:
    """Run `work` until the block ends. It may end before, but if it fails, the block is cancelled at once.

    Raises:
        ExceptionGroup: what `work` raised, or the block.
    """
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(work())
        yield
        task.cancel()
