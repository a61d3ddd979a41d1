"""Each test gets an API with knobs and an edge of its own."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.cloudflare.support import Api, serving


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving() as api:
        yield api
