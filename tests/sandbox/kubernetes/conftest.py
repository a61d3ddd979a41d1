"""A sandbox of its own for each test, and a plain client for it."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from sandbox.kubernetes.server import running
from tests.contract.kubernetes.support import Cluster


@pytest.fixture
async def sandbox() -> AsyncIterator[Cluster]:
    """A server with the namespace `ns`."""
    async with aiohttp.ClientSession() as session, running(namespaces=["ns"], seed=1) as url:

        async def forget() -> None:
            await session.post(f"{url}/_sandbox/compact")

        yield Cluster(session, url, {}, True, "ns", watchlist=True, forget=forget)
