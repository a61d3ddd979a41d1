"""The server as `python -m sandbox kubernetes` starts it."""

import argparse
import asyncio

import aiohttp
import pytest

from sandbox.kubernetes.server import add_arguments, serve
from tests.contract.kubernetes.support import eventually


async def test_it_says_where_it_listens_does_as_its_arguments_say_and_ends_its_streams_when_it_is_cancelled(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["--port", "0", "--token", "t", "--no-watchlist", "--namespace", "ns", "--seed", "1"])
    serving = asyncio.create_task(serve(args))

    async def said() -> str:
        return capsys.readouterr().out

    first = await eventually(said)
    url = first.removeprefix("listening on ").strip()
    assert url.startswith("http://127.0.0.1:")
    async with aiohttp.ClientSession(url, headers={"Authorization": "Bearer t"}) as session:
        async with session.get("/api/v1/namespaces/ns") as response:
            assert response.status == 200
        async with session.get("/_sandbox/settings") as response:
            assert (await response.json())["watchlist"] is False
        async with session.get("/api/v1/pods", params={"watch": "true"}) as stream:
            serving.cancel()
            with pytest.raises(aiohttp.ClientError):
                await stream.content.readline()
    with pytest.raises(asyncio.CancelledError):
        await serving
    with pytest.raises(aiohttp.ClientConnectionError):
        async with aiohttp.request("GET", f"{url}/readyz"):
            pass
