"""Tasks that run while a block does: for the `sweep` command, which needs the operator's parts for a moment."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

Work = Callable[[], Coroutine[Any, Any, Any]]


@asynccontextmanager
async def background(*works: Work) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Run `works` until the block ends; its own errors come out as they are (a TaskGroup would wrap them)."""
    tasks = [asyncio.create_task(work()) for work in works]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
