"""The stage on which every journey is played, and what holds for all of them: no secret and no mistake in any log."""

from collections.abc import AsyncIterator

import pytest

from sandbox import stage as stages
from sandbox.cloudflare.world import TOKEN
from sandbox.stage import Stage

POD_SECRET = "hush-hush"
# A mistake of the program, or a secret (the token's other names begin with it).
NEVER_LOGGED = ("this is a bug", "Traceback", "never awaited", "never retrieved", POD_SECRET, TOKEN, "Bearer ")


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Both APIs with what other people have there; operators are started by the test, and end with it."""
    async with stages.running() as running:
        stages.seed_foreign(running.world)
        await running.kube.create_route(stages.FOREIGN_ROUTE)
        yield running
        for replica in running.operators:
            found = [word for word in NEVER_LOGGED if word in replica.log.read_text()]
            assert not found, f"{replica.name} logged {found}: {replica.log.read_text()[-5000:]}"


@pytest.fixture
async def untouched(stage: Stage) -> AsyncIterator[str]:
    """Everything foreign is in the end byte for byte what it was in the beginning."""
    before = await stage.foreign()
    yield before
    assert await stage.foreign() == before
