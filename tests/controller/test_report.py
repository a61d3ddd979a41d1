"""The time from a Pod's creation to Ready is measured once for each Pod, and repairs are not."""

from fsm.errors import TransientError
from fsm.session import PREFIX
from tests.controller.world import HASH, HOST, PROFILE, Fixture


def measured(world: Fixture) -> tuple[float, float]:
    """How many Pods were measured, and the sum of their seconds."""
    (family,) = world.metrics.ready_seconds.collect()
    values = {sample.name.rpartition("_")[2]: sample.value for sample in family.samples}
    return values["count"], values["sum"]


async def walked() -> Fixture:
    """A Pod that was created at 0 and is Ready at 100 s."""
    world = Fixture()
    world.pods.add()
    world.all_there()
    await world.reconcile(HASH)
    assert world.pods.annotation("state") == "Ready"
    return world


async def test_the_way_of_a_pod_to_ready_is_measured() -> None:
    assert measured(await walked()) == (1, 100.0)


async def test_a_repair_is_no_way_of_a_pod() -> None:
    world = await walked()
    world.clock.time += 3600
    world.dns.there.clear()
    world.looked()
    for _ in range(3):
        await world.reconcile(HASH)
        world.clock.time += 300
    assert HOST in world.dns.there
    assert world.pods.annotation("state") == "Ready"
    assert world.pods.annotation("attempts") == "1"
    assert measured(world) == (1, 100.0)


async def test_a_pod_that_ended_on_its_way_is_forgotten_also_when_another_led_then() -> None:
    world = Fixture()
    for leaves in (True, False):
        world.pods.add()
        world.dns.failures.append(TransientError("CloudflareUnavailable", "Cloudflare answers 502"))
        world.looked()
        await world.reconcile(HASH)
        assert world.report._on_way
        if leaves:
            world.pods.change(deleting=True)
            await world.reconcile(HASH)
        else:
            world.report.begin_term()
        assert not world.report._on_way
        world.pods.pods.clear()


async def test_a_wiped_record_and_an_adopted_pod_are_no_way_either() -> None:
    world = await walked()
    world.clock.time += 3600
    world.pods.change(annotations={})
    await world.reconcile(HASH)
    assert world.pods.annotation("state") == "Ready"
    assert measured(world) == (1, 100.0)


async def test_a_repair_that_another_process_began_is_not_measured() -> None:
    world = await walked()
    world.pods.change(annotations={**world.pods.pods["uid-1"].annotations, PREFIX + "state": "DnsCreated"})
    world.use(PROFILE)
    world.looked()
    await world.reconcile(HASH)
    assert world.pods.annotation("state") == "Ready"
    assert measured(world) == (1, 100.0)


async def test_a_pod_that_comes_after_another_is_measured_too() -> None:
    world = await walked()
    world.pods.pods.clear()
    world.clock.time += 60
    world.pods.add("uid-2", created="2026-11-23T00:02:30Z")
    world.looked()
    await world.reconcile(HASH)
    assert world.pods.pods["uid-2"].annotations[PREFIX + "state"] == "Ready"
    assert measured(world) == (2, 110.0)


async def test_a_time_that_cannot_be_read_is_left_out_and_harms_nobody() -> None:
    world = Fixture()
    world.pods.add(created="None")
    world.all_there()
    await world.reconcile(HASH)
    assert world.pods.annotation("state") == "Ready"
    assert measured(world) == (0, 0.0)
