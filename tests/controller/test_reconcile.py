"""The hub's promises: order of effects and writes, nothing written for nothing, nobody's failure lost."""

import asyncio
from dataclasses import replace

import pytest

from controller.reconcile import SHARED_PAUSE, STALE_PAUSE
from controller.report import CONCURRENT_WRITES
from fsm.desired import TunnelRule
from fsm.errors import ConflictError, NotKeptError, PermanentError, SharedError, StaleError, TransientError
from fsm.session import PREFIX
from tests.controller.world import HASH, HOST, PROFILE, Fixture
from tests.k8s.virtual import virtual

OTHER = "b" * 12


@pytest.fixture
def world() -> Fixture:
    return Fixture()


async def test_a_new_session_walks_through_all_states_and_writes_each_one_after_its_effect(world: Fixture) -> None:
    world.pods.add()
    assert await world.reconcile(HASH) is None
    assert world.calls == [
        "write Pending",
        "look dns",
        "look rules",
        "look routes",
        "ensure dns",
        "write DnsCreated",
        "ensure rules",
        "write TunnelRuleAdded",
        "ensure routes",
        "write RoutesCreated",
        "write Ready",
    ]
    assert world.pods.annotation("state") == "Ready"
    assert world.pods.annotation("hostname") == HOST
    assert world.pods.annotation("service") == PROFILE.service
    assert world.pods.annotation("revision") == "5"
    assert world.pods.annotation("pod-uid") == "uid-1"
    assert world.pods.annotation("last-error") is None


async def test_one_event_says_ready_and_nothing_else_is_said(world: Fixture) -> None:
    world.pods.add()
    await world.reconcile(HASH)
    assert world.events.posted == [("Ready", f"https://{HOST} is ready", False)]


async def test_a_session_whose_objects_all_exist_becomes_ready_in_one_write(world: Fixture) -> None:
    world.pods.add()
    world.all_there()
    await world.reconcile(HASH)
    assert world.calls == ["write Ready"]


async def test_what_a_first_look_finds_in_place_is_written_once(world: Fixture) -> None:
    world.pods.add()
    world.all_there()
    for part in (world.dns, world.tunnel, world.routes):
        part.known = False
    await world.reconcile(HASH)
    assert world.calls == ["write Pending", "look dns", "look rules", "look routes", "write Ready"]


async def test_nothing_is_written_or_called_when_nothing_changed(world: Fixture) -> None:
    world.pods.add()
    await world.reconcile(HASH)
    world.calls.clear()
    assert await world.reconcile(HASH) is None
    assert world.calls == []


async def test_evidence_older_than_the_pod_makes_no_session_ready(world: Fixture) -> None:
    world.all_there()
    world.clock.time += 1
    world.pods.add()
    await world.reconcile(HASH)
    assert "ensure dns" in world.calls
    assert "ensure rules" in world.calls
    assert "ensure routes" in world.calls


async def test_a_failure_is_written_with_the_time_of_the_next_try_and_told_in_an_event(world: Fixture) -> None:
    world.pods.add()
    world.looked()
    world.dns.failures.append(TransientError("CloudflareUnavailable", "Cloudflare answers 502"))
    pause = await world.reconcile(HASH)
    assert pause is not None
    assert 0 < pause <= 2
    assert world.pods.annotation("attempts") == "1"
    assert world.pods.annotation("retry-at") is not None
    assert world.pods.annotation("last-error") == "CloudflareUnavailable: Cloudflare answers 502"
    assert world.events.posted == [("CloudflareUnavailable", "Cloudflare answers 502", True)]


async def test_a_session_in_its_pause_does_nothing_whoever_brings_it_up(world: Fixture) -> None:
    world.pods.add()
    world.looked()
    world.dns.failures.append(TransientError("CloudflareUnavailable", "Cloudflare answers 502"))
    await world.reconcile(HASH)
    world.calls.clear()
    assert await world.reconcile(HASH)
    assert world.calls == []


async def test_the_pause_that_the_other_side_asks_for_is_kept(world: Fixture) -> None:
    world.pods.add()
    world.looked()
    world.dns.failures.append(TransientError("RateLimited", "too many requests", retry_after=120))
    assert await world.reconcile(HASH) == pytest.approx(120, abs=1)


async def recovered(world: Fixture) -> None:
    """A session is Ready after one failure."""
    world.pods.add()
    world.looked()
    world.dns.failures.append(TransientError("CloudflareUnavailable", "Cloudflare answers 502"))
    await world.reconcile(HASH)
    world.clock.time += 10
    assert await world.reconcile(HASH) is None
    assert world.pods.annotation("state") == "Ready"


async def test_after_the_pause_the_session_goes_on_and_the_error_is_gone(world: Fixture) -> None:
    await recovered(world)
    assert world.pods.annotation("last-error") is None
    assert world.pods.annotation("retry-at") is None


async def test_a_record_that_may_not_be_written_is_told_with_its_session_until_it_can_be(
    world: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    forbidden = PermanentError("KubernetesForbidden", "pods/status is forbidden")
    world.looked()
    world.pods.add()
    world.pods.add("uid-2", session=OTHER)
    for session in (HASH, OTHER, HASH, OTHER):
        world.pods.failures.append(forbidden)
        await world.reconcile(session)
    text = f"KubernetesForbidden: pods/status is forbidden; the record of session {HASH} is not written"
    told = {"write the record": text}
    assert world.problems.report() == told
    world.witness.permit("c" * 12)
    await world.reconcile("c" * 12)  # has no Pod, so its record is nowhere written
    assert world.problems.report() == told
    assert len([entry for entry in caplog.records if entry.name == "controller.problems"]) == 1
    await world.reconcile(HASH)
    assert OTHER in world.problems.report()["write the record"]
    await world.reconcile(OTHER)
    assert world.problems.report() == {}


async def test_a_write_that_is_not_needed_any_more_and_a_pod_that_nobody_saw_go_end_the_news(world: Fixture) -> None:
    world.pods.add()
    world.looked()
    await world.reconcile(HASH)
    for end in (world.all_there, world.pods.pods.clear):
        world.dns.there.clear()
        world.pods.failures.append(PermanentError("KubernetesForbidden", "pods/status is forbidden"))
        await world.reconcile(HASH)
        assert "write the record" in world.problems.report()
        end()
        await world.reconcile(HASH)
        assert world.problems.report() == {}


async def test_shared_trouble_is_told_once_and_counts_no_attempt(world: Fixture) -> None:
    world.pods.add()
    world.looked()
    trouble = SharedError("TokenInvalid", "Cloudflare refuses the token", "renew CF_API_TOKEN")
    world.dns.failures.extend([trouble, trouble])
    assert await world.reconcile(HASH) == SHARED_PAUSE
    assert world.pods.annotation("attempts") == "0"
    assert world.pods.annotation("last-error") == str(trouble)
    world.calls.clear()
    assert await world.reconcile(HASH) == SHARED_PAUSE
    assert world.calls == ["ensure dns"]


async def test_a_foreign_object_of_the_wanted_name_is_told_before_anything_is_made(world: Fixture) -> None:
    world.pods.add()
    world.looked()
    world.tunnel.foreign[HOST] = "ForeignRule: somebody's"
    assert await world.reconcile(HASH) is None
    assert world.calls == ["write Pending"]
    assert world.pods.annotation("last-error") == "ForeignRule: somebody's"
    await world.reconcile(HASH)
    assert world.calls == ["write Pending"]


async def test_a_foreign_object_in_the_place_of_ours_is_told_also_before_a_pause(world: Fixture) -> None:
    await recovered(world)
    world.tunnel.foreign[HOST] = "ForeignRule: somebody's"
    world.looked()
    assert await world.reconcile(HASH)
    assert world.pods.annotation("state") == "DnsCreated"
    assert world.pods.annotation("last-error") == "ForeignRule: somebody's"


async def test_a_conflict_that_only_the_write_met_waits_for_the_world(world: Fixture) -> None:
    world.pods.add()
    world.looked()
    world.routes.failures.append(ConflictError("ForeignRoute", "a route of somebody else", "remove it"))
    assert await world.reconcile(HASH) is None
    assert world.pods.annotation("state") == "TunnelRuleAdded"
    assert world.pods.annotation("last-error") == "ForeignRoute: a route of somebody else. Remove it"


async def test_a_permanent_failure_is_tried_again_soon_for_once(world: Fixture) -> None:
    world.pods.add()
    world.looked()
    world.dns.failures.append(PermanentError("RecordRejected", "refused", "look at DOMAIN"))
    pause = await world.reconcile(HASH)
    assert pause is not None
    assert 0 < pause <= 2


async def test_a_stale_effect_is_decided_anew_without_a_word(world: Fixture) -> None:
    world.pods.add()
    world.looked()
    world.dns.failures.append(StaleError("Changed", "changed"))
    assert await world.reconcile(HASH) == STALE_PAUSE
    assert world.pods.annotation("last-error") is None


async def test_a_lost_compare_and_set_is_decided_anew_from_what_is_there(world: Fixture) -> None:
    world.pods.add()
    world.looked()
    world.pods.failures.append(StaleError("RecordChanged", "somebody else wrote it"))
    assert await world.reconcile(HASH) == 0.0
    assert world.calls == ["write Pending"]


async def test_a_replica_that_does_not_lead_any_more_writes_nothing_and_goes_on_if_it_keeps_the_lease_after_all(
    world: Fixture,
) -> None:
    world.pods.add()
    world.looked()
    world.lease.left = 0
    assert await world.reconcile(HASH) == STALE_PAUSE
    assert world.calls == []
    assert world.problems.report() == {}
    world.lease.left = 15
    await world.reconcile(HASH)
    assert world.calls[0] == "write Pending"


async def test_failed_writes_of_the_record_back_off(world: Fixture) -> None:
    world.pods.add()
    world.looked()
    world.pods.failures.extend([TransientError("KubernetesUnavailable", "no answer")] * 3)
    pauses = [await world.reconcile(HASH) for _ in range(3)]
    assert pauses == sorted(pauses, key=lambda pause: pause or 0)
    assert pauses[0] != pauses[2]
    assert "ensure dns" not in world.calls


async def test_a_record_that_cannot_be_written_for_a_while_is_told_at_the_third_time(world: Fixture) -> None:
    """A webhook whose backend is down answers 500: the session's own annotations cannot tell."""
    world.pods.add()
    world.looked()
    for told in ([], [], ["write the record"]):
        world.pods.failures.append(TransientError("KubernetesUnavailable", "the API server answered 500"))
        await world.reconcile(HASH)
        assert list(world.problems.report()) == told
    await world.reconcile(HASH)
    assert world.problems.report() == {}


@virtual
async def test_a_record_that_is_not_kept_as_written_is_not_written_again_because_it_changed() -> None:
    """A policy that changes annotations answers each write with news of the Pod."""
    world = Fixture()
    world.pods.add()
    world.looked()
    world.pods.failures.append(NotKeptError("RecordRefused", "not kept"))
    pause = await world.reconcile(HASH)
    assert pause
    world.calls.clear()
    assert await world.reconcile(HASH) == pause
    assert world.calls == []
    await asyncio.sleep(pause)
    await world.reconcile(HASH)
    assert world.calls[0] == "write Pending"


async def test_events_that_take_long_hold_up_no_record_of_others(
    world: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(world.events, "post", never)
    sessions = [f"{number:012x}" for number in range(CONCURRENT_WRITES + 1)]
    for session in sessions:
        world.pods.add(f"uid-{session}", session=session)
        world.dns.failures.append(PermanentError("RecordRejected", "no"))
    world.looked()
    looks = [asyncio.create_task(world.reconcile(session)) for session in sessions]
    for _ in range(100):
        await asyncio.sleep(0)
    for look in looks:
        look.cancel()
    await asyncio.wait(looks)
    assert all(world.pods.annotation("last-error", f"uid-{session}") for session in sessions)


async def test_a_bug_in_an_adapter_is_an_error_of_this_session_alone(world: Fixture) -> None:
    world.pods.add()
    world.looked()
    world.dns.failures.append(RuntimeError("secret detail"))
    await world.reconcile(HASH)
    assert world.pods.annotation("last-error") == "InternalError: RuntimeError, see the operator's log"


async def test_a_text_nobody_can_read_is_named_and_worked_out_again(world: Fixture) -> None:
    world.pods.add()
    world.all_there()
    await world.reconcile(HASH)
    texts = dict(world.pods.pods["uid-1"].annotations) | {"cloudflare.opencode.ai/state": "Reday"}
    world.pods.change(annotations=texts)
    world.calls.clear()
    await world.reconcile(HASH)
    assert world.calls == ["write Ready"]
    said = "the annotation state could not be read; the session was worked out again"
    assert world.pods.annotation("last-error") == f"RecordUnreadable: {said}"
    assert ("RecordUnreadable", said, True) in world.events.posted


async def test_annotations_copied_from_another_pod_are_no_record(world: Fixture) -> None:
    world.pods.add()
    world.all_there()
    await world.reconcile(HASH)
    copied = dict(world.pods.pods["uid-1"].annotations)
    del world.pods.pods["uid-1"]
    world.clock.time += 1
    world.pods.add("uid-2", annotations=copied)
    world.calls.clear()
    await world.reconcile(HASH)
    assert "ensure dns" in world.calls
    assert world.pods.annotation("pod-uid", "uid-2") == "uid-2"
    said = world.pods.annotation("last-error", "uid-2") or ""
    assert said.startswith("RecordUnreadable: the annotation pod-uid could not be read")


async def test_a_lost_record_moves_the_session_back_and_is_repaired_at_once(world: Fixture) -> None:
    world.pods.add()
    await world.reconcile(HASH)
    world.calls.clear()
    world.dns.there.clear()
    world.clock.time += 1
    world.looked()
    await world.reconcile(HASH)
    assert world.calls == ["write Pending", "ensure dns", "write DnsCreated", "write Ready"]
    assert world.pods.annotation("attempts") == "1"


async def test_somebody_who_resets_again_and_again_meets_the_backoff(world: Fixture) -> None:
    world.pods.add()
    await world.reconcile(HASH)
    pauses = []
    for _ in range(6):
        world.clock.time += 1
        world.tunnel.there.clear()
        world.looked()
        pauses.append(await world.reconcile(HASH) or 0.0)
        world.clock.time += pauses[-1] + 1
        await world.reconcile(HASH)
        assert world.pods.annotation("state") == "Ready"
    assert pauses[0] == 0
    assert pauses[-1] > 10


async def test_a_missing_piece_in_an_older_look_is_no_drift(world: Fixture) -> None:
    world.pods.add()
    await world.reconcile(HASH)
    world.calls.clear()
    world.dns.there.clear()
    world.dns.began = world.clock() - 50
    await world.reconcile(HASH)
    assert world.calls == []


async def test_a_session_goes_routes_first_record_last_and_is_forgotten(world: Fixture) -> None:
    world.pods.add()
    await world.reconcile(HASH)
    world.calls.clear()
    world.pods.change(deleting=True)
    world.witness.permit(HASH)
    await world.reconcile(HASH)
    assert world.calls == ["write TearingDown", "remove routes", "remove rules", "remove dns"]
    assert not world.witness.is_permitted(HASH)


async def test_who_leads_only_after_a_pods_end_removes_the_rule_that_its_record_named(world: Fixture) -> None:
    world.pods.add()
    await world.reconcile(HASH)
    world.witness.saw_go(world.pods.pods.pop("uid-1"))
    world.use(replace(PROFILE, service="http://new.svc:80"))
    world.looked()
    await world.reconcile(HASH)
    assert world.tunnel.recorded == (TunnelRule(HOST, PROFILE.service),)
    assert world.witness.last_of(HASH) is None


async def test_a_pod_that_vanished_is_torn_down_from_memory(world: Fixture) -> None:
    world.pods.add()
    await world.reconcile(HASH)
    world.calls.clear()
    world.pods.pods.clear()
    world.witness.permit(HASH)
    world.routes.failures.append(TransientError("KubernetesUnavailable", "no answer"))
    pause = await world.reconcile(HASH)
    assert pause
    world.clock.time += pause + 1
    assert await world.reconcile(HASH) is None
    assert world.calls == ["remove routes", "remove routes", "remove rules", "remove dns"]


async def test_nothing_is_removed_without_a_witness(world: Fixture) -> None:
    world.all_there()
    assert await world.reconcile(HASH) is None
    assert world.calls == []


async def test_what_comes_up_again_after_the_end_leaves_no_trace(world: Fixture) -> None:
    world.pods.add()
    await world.reconcile(HASH)
    world.pods.pods.clear()
    world.witness.permit(HASH)
    await world.reconcile(HASH)
    told = world.metrics.transitions.labels("", "TearingDown")._value.get()
    await world.reconcile(HASH)
    assert world.metrics.transitions.labels("", "TearingDown")._value.get() == told


async def test_a_new_pod_of_the_hash_revives_a_session_that_is_torn_down(world: Fixture) -> None:
    world.pods.add()
    await world.reconcile(HASH)
    world.pods.change(deleting=True)
    world.witness.permit(HASH)
    world.routes.failures.append(TransientError("KubernetesUnavailable", "no answer"))
    await world.reconcile(HASH)
    world.clock.time += 1
    world.pods.add("uid-2", created="2026-11-23T00:01:00Z")
    await world.reconcile(HASH)
    assert world.pods.annotation("state", "uid-2") == "Ready"
    assert not world.witness.is_permitted(HASH)
    assert world.pods.annotation("state") == "TearingDown"


async def test_a_changed_suffix_removes_the_old_objects_before_it_makes_the_new_ones(world: Fixture) -> None:
    world.pods.add()
    await world.reconcile(HASH)
    world.use(replace(PROFILE, suffix="-dev"))
    world.calls.clear()
    await world.reconcile(HASH)
    new = f"{HASH}-dev.no-panic.org"
    assert world.dns.there == {new}
    assert world.tunnel.there == {new}
    assert world.pods.annotation("hostname") == new
    assert world.pods.annotation("state") == "Ready"
    assert world.calls.index("remove dns") < world.calls.index("ensure dns")
    assert world.calls[0] == "write Pending"


async def test_a_going_pod_beside_a_new_one_is_no_reason_to_remove_anything(world: Fixture) -> None:
    world.pods.add()
    await world.reconcile(HASH)
    world.pods.change(deleting=True)
    world.witness.permit(HASH)
    world.pods.add("uid-2", created="2026-11-23T00:01:00Z")
    world.calls.clear()
    await world.reconcile(HASH)
    assert not [call for call in world.calls if call.startswith("remove")]


async def test_a_pod_that_is_going_before_it_had_a_record_waits_for_no_try_of_its_predecessor(world: Fixture) -> None:
    world.pods.add()
    world.tunnel.failures.append(TransientError("CloudflareUnavailable", "Cloudflare answers 502"))
    await world.reconcile(HASH)
    assert world.pods.annotation("last-error") == "CloudflareUnavailable: Cloudflare answers 502"
    world.pods.change(deleting=True)
    world.pods.add("uid-2", created="2026-11-23T00:01:00Z", deleting=True)
    world.witness.permit(HASH)
    await world.reconcile(HASH)
    texts = [world.pods.annotation(key, "uid-2") for key in ("state", "last-error", "retry-at", "attempts")]
    assert texts == ["TearingDown", None, None, "0"]
    assert not world.dns.there


async def test_a_pod_that_is_going_takes_the_next_try_of_the_removal_from_its_predecessor(world: Fixture) -> None:
    world.pods.add()
    await world.reconcile(HASH)
    world.pods.change(deleting=True)
    world.tunnel.failures.append(TransientError("CloudflareUnavailable", "Cloudflare answers 502"))
    await world.reconcile(HASH)
    world.pods.add("uid-2", created="2026-11-23T00:01:00Z", deleting=True)
    world.calls.clear()
    await world.reconcile(HASH)
    assert world.pods.annotation("retry-at", "uid-2") == world.pods.annotation("retry-at")
    assert world.calls == ["write TearingDown"]


async def test_an_error_is_gone_when_somebody_else_has_done_the_rest(world: Fixture) -> None:
    world.pods.add()
    await world.reconcile(HASH)
    world.pods.change(deleting=True)
    world.tunnel.failures.append(TransientError("CloudflareUnavailable", "Cloudflare answers 502"))
    await world.reconcile(HASH)
    assert world.pods.annotation("last-error") == "CloudflareUnavailable: Cloudflare answers 502"
    world.dns.there.clear()
    world.tunnel.there.clear()
    assert await world.reconcile(HASH) is None
    texts = [world.pods.annotation(key) for key in ("state", "last-error", "retry-at")]
    assert texts == ["TearingDown", None, None]


async def test_before_the_first_look_nobody_knows_that_there_is_nothing_left(world: Fixture) -> None:
    world.pods.add()
    await world.reconcile(HASH)
    error = {PREFIX + "last-error": "CloudflareUnavailable: Cloudflare answers 502"}
    world.pods.change(annotations={**world.pods.pods["uid-1"].annotations, **error})
    world.dns.known = False
    await world.reconcile(HASH)
    assert world.pods.annotation("last-error") == "CloudflareUnavailable: Cloudflare answers 502"
    world.dns.known = True
    await world.reconcile(HASH)
    assert world.pods.annotation("last-error") is None


async def test_only_who_lives_and_has_nothing_to_do_is_at_rest(world: Fixture) -> None:
    world.pods.add()
    assert not world.reconcile.is_at_rest(HASH)
    await world.reconcile(HASH)
    world.calls.clear()
    assert world.reconcile.is_at_rest(HASH)
    world.looked()
    world.routes.there.clear()
    assert not world.reconcile.is_at_rest(HASH)
    assert world.calls == []


async def test_who_goes_or_is_gone_is_not_at_rest(world: Fixture) -> None:
    world.pods.add()
    await world.reconcile(HASH)
    world.pods.change(deleting=True)
    assert not world.reconcile.is_at_rest(HASH)
    world.pods.pods.clear()
    world.witness.permit(HASH)
    assert not world.reconcile.is_at_rest(HASH)


async def test_a_conflict_and_a_pause_are_no_rest(world: Fixture) -> None:
    world.pods.add()
    world.dns.foreign[HOST] = "NameTaken: it is somebody else's"
    await world.reconcile(HASH)
    assert not world.reconcile.is_at_rest(HASH)
    world.dns.foreign.clear()
    world.dns.failures.append(TransientError("CloudflareUnavailable", "Cloudflare answers 502"))
    await world.reconcile(HASH)
    assert not world.reconcile.is_at_rest(HASH)
