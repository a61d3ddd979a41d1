"""The real kubectl is content with the sandbox: the commands that a person at the demo types."""

import asyncio
import json
import sysconfig
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from tests.contract.kubernetes.support import Cluster, event, pod, route

KUBECTL = Path(sysconfig.get_path("scripts")) / "kubectl"

Kubectl = Callable[..., Coroutine[None, None, str]]


@pytest.fixture
def kubectl(sandbox: Cluster, tmp_path: Path) -> Kubectl:
    """Runs kubectl in the namespace; its output, when its exit code is 0 and nothing was warned of."""

    async def run(*arguments: str, stdin: str = "") -> str:
        process = await asyncio.create_subprocess_exec(
            KUBECTL,
            *("--server", sandbox.url, "--namespace", sandbox.namespace),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"HOME": str(tmp_path)},
        )
        out, err = await process.communicate(stdin.encode())
        assert (process.returncode, err.decode()) == (0, ""), out.decode()
        return out.decode()

    return run


async def test_apply_creates_then_leaves_then_changes(sandbox: Cluster, kubectl: Kubectl) -> None:
    for host, outcome in (("a", "created"), ("a", "unchanged"), ("b", "configured")):
        printed = await kubectl("apply", "--filename", "-", stdin=json.dumps(route("r", host)))
        assert printed == f"ingressroute.traefik.io/r {outcome}\n"
    assert (await sandbox.get(f"{sandbox.routes}/r"))["spec"] == route("r", "b")["spec"]


async def test_apply_on_the_server_side(kubectl: Kubectl) -> None:
    printed = await kubectl("apply", "--server-side", "--filename", "-", stdin=json.dumps(pod("p", namespace="ns")))
    assert printed == "pod/p serverside-applied\n"


async def test_a_namespace_is_created(kubectl: Kubectl) -> None:
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "more"}}
    assert await kubectl("create", "--filename", "-", stdin=json.dumps(manifest)) == "namespace/more created\n"


async def test_get_prints_columns(sandbox: Cluster, kubectl: Kubectl) -> None:
    await sandbox.make(sandbox.pods, pod("p"))
    await sandbox.make(sandbox.routes, route("r"))
    header, row = (await kubectl("get", "pods")).splitlines()
    assert header.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert row.split()[:4] == ["p", "0/1", "Pending", "0"]
    assert (await kubectl("get", "ingressroutes", "--output", "name")) == "ingressroute.traefik.io/r\n"
    assert "namespace/ns" in await kubectl("get", "namespaces,leases,services,secrets,configmaps,endpointslices,events")


async def test_get_yaml_shows_the_object(sandbox: Cluster, kubectl: Kubectl) -> None:
    await sandbox.make(sandbox.pods, pod("p", annotations={"a": "1"}))
    assert 'a: "1"' in await kubectl("get", "pods", "--output", "yaml")


async def test_annotate_and_label_change_the_pod(sandbox: Cluster, kubectl: Kubectl) -> None:
    await sandbox.make(sandbox.pods, pod("p"))
    await kubectl("annotate", "pod", "p", "a=1")
    await kubectl("label", "pod", "p", "b=2")
    metadata = (await sandbox.get(f"{sandbox.pods}/p"))["metadata"]
    assert (metadata["annotations"], metadata["labels"]) == ({"a": "1"}, {"b": "2"})


async def test_describe_shows_annotations_and_events_with_their_series(sandbox: Cluster, kubectl: Kubectl) -> None:
    made = await sandbox.make(sandbox.pods, pod("p", annotations={"cloudflare.opencode.ai/state": "Ready"}))
    body = event("e", sandbox.namespace)
    body["regarding"]["uid"] = made["metadata"]["uid"]
    await sandbox.make(sandbox.events, body)
    series = {"count": 7, "lastObservedTime": "2026-01-01T00:05:00.000000Z"}
    await sandbox.patch(f"{sandbox.events}/e", {"series": series})
    described = await kubectl("describe", "pod", "p")
    assert "cloudflare.opencode.ai/state: Ready" in described
    assert "(x7 over" in described
    assert "all is well" in described
    assert "all is well" in await kubectl("get", "events")


async def test_delete_waits_until_the_object_is_gone(sandbox: Cluster, kubectl: Kubectl) -> None:
    await sandbox.make(sandbox.pods, pod("p", node="n"))
    deletion = asyncio.create_task(kubectl("delete", "pod", "p"))
    async with sandbox.watch(sandbox.pods) as watch:
        while not (await watch.event())["object"]["metadata"].get("deletionTimestamp"):
            pass
        assert not deletion.done()
        await sandbox.ask("DELETE", f"{sandbox.pods}/p", {"gracePeriodSeconds": 0})
    assert 'pod "p" deleted' in await deletion


async def test_wait_sees_a_condition(sandbox: Cluster, kubectl: Kubectl) -> None:
    await sandbox.make(sandbox.pods, pod("p", annotations={"a": "1"}))
    waiting = asyncio.create_task(kubectl("wait", "pod/p", "--for=jsonpath={.metadata.annotations.a}=2"))
    await kubectl("annotate", "--overwrite", "pod", "p", "a=2")
    assert "condition met" in await waiting


async def test_a_patch_of_status(sandbox: Cluster, kubectl: Kubectl) -> None:
    await sandbox.make(sandbox.pods, pod("p"))
    await kubectl("patch", "pod", "p", "--subresource=status", "--patch", '{"status": {"phase": "Running"}}')
    assert (await sandbox.get(f"{sandbox.pods}/p"))["status"]["phase"] == "Running"
