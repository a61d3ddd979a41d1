"""`python -m sandbox cloudflare` as a process."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest


@asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sandbox", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def ended(*arguments: str) -> tuple[int, str, str]:
    async with started(*arguments) as process:
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


async def address_of(process: asyncio.subprocess.Process) -> tuple[str, str]:
    """Of the edge and of the API, as it tells them once both are up."""
    assert process.stdout is not None
    edge, api = [(await process.stdout.readline()).decode() for _ in range(2)]
    assert edge.startswith("edge on ")
    assert api.startswith("listening on http://127.0.0.1:")
    return edge.removeprefix("edge on ").strip(), api.removeprefix("listening on ").strip()


async def test_it_serves_the_zone_tunnel_and_tokens_it_is_told() -> None:
    zone, tunnel, account = "a" * 32, "11111111-2222-3333-4444-555555555555", "b" * 32
    options = ["--zone-id", zone, "--zone-name", "example.com", "--tunnel-id", tunnel, "--account-id", account]
    rights = ["--token", "mine", "--token", "theirs=dns:read,tunnel:read", "--plan", "pro", "--quota", "5"]
    async with started("cloudflare", *options, *rights) as process, aiohttp.ClientSession() as http:
        edge, api = await address_of(process)

        async def ask(path: str, token: str, method: str = "GET") -> tuple[int, dict[str, object]]:
            headers = {"Authorization": f"Bearer {token}"}
            async with http.request(method, f"{api}/client/v4{path}", headers=headers) as reply:
                return reply.status, (await reply.json())["result"]

        status, result = await ask(f"/zones/{zone}", "mine")
        assert (status, result["name"], result["account"]) == (200, "example.com", {"id": account, "name": "Sandbox"})
        assert await ask(f"/zones/{zone}/dns_records/usage", "theirs") == (200, {"record_quota": 5, "record_usage": 0})
        assert (await ask(f"/accounts/{account}/cfd_tunnel/{tunnel}", "theirs"))[0] == 200
        assert (await ask(f"/zones/{zone}/dns_records", "theirs", "POST"))[0] == 403
        async with http.get(edge, headers={"Host": "a.example.com"}) as reply:
            assert reply.status == 530


@pytest.fixture
def heard() -> Iterator[None]:
    """A shell's background jobs ignore SIGINT, and so would what they start."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
async def test_a_signal_ends_it_without_a_word(how: signal.Signals) -> None:
    async with started("cloudflare") as process, aiohttp.ClientSession() as http:
        _, api = await address_of(process)
        async with http.put(f"{api}/_sandbox/faults", json=[{"hold": "before"}]) as reply:
            assert reply.status == 200
        waiting = asyncio.create_task(http.get(f"{api}/client/v4/zones").__aenter__())
        while not waiting.done() and not await held(http, api):
            await asyncio.sleep(0.01)
        process.send_signal(how)
        out, err = await process.communicate()
        assert (process.returncode, out, err) == (130, b"", b"")
        with pytest.raises(aiohttp.ClientConnectorError):
            await held(http, api)
        await asyncio.gather(waiting, return_exceptions=True)


async def held(http: aiohttp.ClientSession, api: str) -> list[object]:
    async with http.get(f"{api}/_sandbox/held") as reply:
        return list(await reply.json())


async def test_it_listens_where_it_is_told_and_says_so_if_it_cannot() -> None:
    async with started("cloudflare") as first:
        edge, api = [address.rpartition(":")[2] for address in await address_of(first)]
        for option, port in (("--port", api), ("--edge-port", edge)):
            code, _, err = await ended("cloudflare", option, port)
            assert code == 1
            assert "address already in use" in err
    async with started("cloudflare", "--port", api, "--edge-port", edge) as second:
        assert await address_of(second) == (f"http://127.0.0.1:{edge}", f"http://127.0.0.1:{api}")


async def test_help_tells_the_options_and_the_knobs() -> None:
    code, out, _ = await ended("cloudflare", "--help")
    assert code == 0
    for text in ("--edge-port", "--zone-name", "sandbox-token", "/_sandbox/faults", "/_sandbox/settings"):
        assert text in out


async def test_a_right_that_does_not_exist_is_told() -> None:
    code, _, err = await ended("cloudflare", "--token", "mine=everything")
    assert code == 2
    assert "everything: no such right" in err


async def test_every_command_is_listed() -> None:
    code, out, _ = await ended("--help")
    assert code == 0
    assert all(name in out for name in ("cloudflare", "kubernetes", "demo"))


PROBE = """
import sys
import sandbox.__main__
sys.argv = ["sandbox", "cloudflare", "--help"]
try:
    sandbox.__main__.main()
except SystemExit:
    print("MODULES", *sys.modules)
"""


async def test_one_command_needs_none_of_the_others() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROBE, stdout=asyncio.subprocess.PIPE)
    out = (await process.communicate())[0].decode()
    modules = out.partition("MODULES")[2].split()
    assert "sandbox.cloudflare.server" in modules
    assert not {"sandbox.kubernetes", "sandbox.demo", "controller", "k8s"} & set(modules)
