"""The sweep releases what nobody accounts for, late, and never most of the world."""

from controller.sweep import TOPIC, Sweep
from tests.controller.world import HASH, HOST, Fixture

GRACE = 120.0


def sweep_of(world: Fixture, added: list[str]) -> Sweep:
    return Sweep(
        world=world.world,
        witness=world.witness,
        problems=world.problems,
        add=added.append,
        now=world.clock,
        grace=GRACE,
    )


def hashes(count: int) -> list[str]:
    return [f"{number:012x}" for number in range(count)]


def test_an_orphan_is_released_after_two_looks_and_the_grace_time() -> None:
    world, added = Fixture(), list[str]()
    sweep = sweep_of(world, added)
    world.dns.there.add(HOST)
    sweep.after_look()
    assert added == []
    world.clock.time += GRACE + 1
    sweep.after_look()
    assert added == [HASH]
    assert world.witness.is_permitted(HASH)


def test_a_session_that_came_back_in_between_starts_anew() -> None:
    world, added = Fixture(), list[str]()
    sweep = sweep_of(world, added)
    world.dns.there.add(HOST)
    sweep.after_look()
    world.pods.add()
    world.clock.time += GRACE + 1
    sweep.after_look()
    world.pods.pods.clear()
    sweep.after_look()
    assert added == []


def test_the_brake_holds_a_mass_removal_and_says_so() -> None:
    world, added = Fixture(), list[str]()
    sweep = sweep_of(world, added)
    world.dns.there |= {f"{session}-oc.no-panic.org" for session in hashes(10)}
    for _ in range(3):
        sweep.after_look()
        world.clock.time += GRACE + 1
    assert added == []
    assert "sweep --force" in world.problems.report()[TOPIC]
    assert len(sweep.held) == 10


def test_a_person_can_release_the_brake() -> None:
    world, added = Fixture(), list[str]()
    sweep = sweep_of(world, added)
    world.dns.there |= {f"{session}-oc.no-panic.org" for session in hashes(10)}
    sweep.after_look()
    plan = sweep.after_look(force=True)
    assert sorted(plan.due) == added == hashes(10)
    assert TOPIC not in world.problems.report()


def test_witnessed_removals_do_not_count_for_the_brake() -> None:
    world, added = Fixture(), list[str]()
    sweep = sweep_of(world, added)
    world.dns.there |= {f"{session}-oc.no-panic.org" for session in hashes(10)}
    for session in hashes(10):
        world.witness.permit(session)
    sweep.after_look()
    assert world.problems.report() == {}
