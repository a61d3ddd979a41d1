"""An environment that cannot be used: exit code 2, every problem at once, and no value repeated."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping

import pytest

from sandbox.stage import Stage
from tests.journey import play

GOOD = {
    "CF_API_TOKEN": "a-token-of-somebody",
    "CF_ZONE_ID": "0" * 32,
    "CF_TUNNEL_ID": "6ff42ae2-765d-4adf-8112-31c55c1551ef",
    "DOMAIN": "example.org",
    "ROUTER_SERVICE_URL": "http://router:80",
    "HEALTH_HOST": "127.0.0.1",
    "HEALTH_PORT": "0",
}


async def test_an_empty_environment_names_every_variable_that_is_required() -> None:
    code, text = await _run({})
    assert code == 2
    assert text.splitlines() == [
        "The environment cannot be used:",
        "  CF_API_TOKEN: is not set; expected a token without spaces or line breaks",
        "  CF_ZONE_ID: is not set; expected the zone's id, 32 hex digits",
        "  CF_TUNNEL_ID: is not set; expected the tunnel's id, a UUID",
        "  DOMAIN: is not set; expected a lower-case domain such as example.org",
        "  ROUTER_SERVICE_URL: is not set; expected http://host:port or https://host:port, without a path (no / at the "
        "end either)",
    ]


async def test_a_malformed_environment_is_told_whole_and_repeats_no_value() -> None:
    bad = {"CF_API_TOKEN": "secret token", "DOMAIN": "Some.ORG", "LEASE_DURATION": "-77", "LOG_FORMAT": "xml"}
    code, text = await _run({**GOOD, **bad})
    assert code == 2
    assert [line.strip().partition(":")[0] for line in text.splitlines()[1:]] == list(bad)
    assert not [value for value in bad.values() if value in text]


async def test_without_a_cluster_it_ends_and_says_why() -> None:
    code, text = await _run(GOOD)
    assert code == 2
    assert text.splitlines()[-1].startswith("KubernetesUnconfigured: ")
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("name", "text"),
    [("HTTPS_PROXY", "socks5://proxy:1080"), ("http_proxy", "http://me:w/ord@proxy:1"), ("NO_PROXY", "fd00::/8")],
)
async def test_a_proxy_that_the_libraries_cannot_use_is_told_and_not_repeated(name: str, text: str) -> None:
    code, said = await _run({**GOOD, name: text})
    assert code == 2
    assert said.splitlines()[-1].startswith("ProxyUnusable: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or NO_PROXY cannot")
    assert text not in said
    assert "Traceback" not in said


async def test_a_port_that_is_taken_is_told(stage: Stage) -> None:
    first = await play.started(stage)
    port = str(await first.port())
    code, text = await _run(stage.environment(HEALTH_PORT=port))
    assert code == 2
    assert f"HealthPortTaken: port {port} of 127.0.0.1 for /healthz cannot be had" in text
    assert "Set HEALTH_PORT to one that is free (in a Pod also in sidecar.yaml)" in text
    assert "Traceback" not in text


async def test_an_address_that_is_not_this_hosts_is_told(stage: Stage) -> None:
    code, text = await _run(stage.environment(HEALTH_HOST="192.0.2.1", HEALTH_PORT="0"))
    assert code == 2
    assert "HealthPortTaken: port 0 of 192.0.2.1 for /healthz cannot be had" in text
    assert "Traceback" not in text


async def test_arguments_that_make_no_sense_are_told() -> None:
    code, text = await _run(GOOD, "sweep")
    assert code == 2
    assert "usage: opencode-cloudflare-operator" in text


async def test_help_names_every_variable_and_version_is_told_without_an_environment() -> None:
    code, text = await _run({}, "--help")
    assert code == 0
    assert not [name for name in GOOD if name not in text]
    code, text = await _run({}, "--version")
    assert (code, text.split()[0]) == (0, "opencode-cloudflare-operator")


async def test_a_container_that_is_ended_while_it_still_imports_ends() -> None:
    # As its first process it would get no signal for which it has no handler.
    entry = (
        "import os, signal, sys, types\n"
        "from controller import __main__ as entry\n"
        "assert 'controller.cli' not in sys.modules\n"
        "assert 'asyncio' not in sys.modules\n"
        "sys.modules['controller.cli'] = cli = types.ModuleType('cli')\n"
        "cli.main = lambda: (os.kill(os.getpid(), signal.SIGTERM), signal.pause())\n"
        "entry.main()\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", entry)
    assert await asyncio.wait_for(process.wait(), play.WITHIN) == 128 + signal.SIGTERM


async def test_a_name_that_is_still_looked_up_does_not_keep_a_process_that_has_done_all() -> None:
    # The cluster's DNS is down: the thread that asks it cannot be ended, and the interpreter would wait for it.
    entry = (
        "import asyncio, time\n"
        "from controller import app, cli\n"
        "async def run(settings):\n"
        "    asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)\n"
        "    return 0\n"
        "app.run, cli.LAST = run, 0.1\n"
        "cli.main()\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", entry, env={**os.environ, **GOOD})
    assert await asyncio.wait_for(process.wait(), play.WITHIN) == 0


async def _run(env: Mapping[str, str], *arguments: str) -> tuple[int | None, str]:
    """Exit code and everything that was printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "controller",
        *arguments,
        env={"PATH": os.environ.get("PATH", ""), **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), play.WITHIN)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, printed.decode()
