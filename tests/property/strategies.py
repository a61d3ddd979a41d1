"""Any record, any Pods, any look at the world: what the property tests of the core draw from."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from fsm.codec import KEYS, render
from fsm.observation import NEVER, Observation, PodFacts, Sight, Status
from fsm.outcome import Conflict, Done, Failed, Outcome, Retry, Waiting
from fsm.record import SessionRecord, shortened
from fsm.states import State
from tests.builders import FIRST_SEEN, FRESH, HASH, HOST, NOW, OLD_HOST, ROUTES, STALE, WANTED, pod

MOST = 10**9 - 1  # of a count in an annotation

jitters = st.floats(0.0, 1.0, exclude_max=True)
nows = st.datetimes(datetime(2026, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
seconds = nows.map(lambda time: time.replace(microsecond=0))
# Times around NOW, so that pauses and calm come both ways.
near = st.integers(-2_000, 2_000).map(lambda offset: NOW + timedelta(seconds=offset))
texts = st.text(max_size=40)
errors = (
    st.just("")
    | st.text(max_size=30)
    | st.text(max_size=30).map(lambda text: text * 60)
    | st.just("RecordUnreadable: state")
)
any_state = st.sampled_from(State)
either_name = st.sampled_from([HOST, HOST, HOST, OLD_HOST])  # the journey has more to get wrong than the rename
durations = st.floats(0.0, 1_000.0) | st.sampled_from([0.0, float("inf")])

outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.just(Done()),
    st.builds(Waiting, errors),
    st.builds(Retry, errors, durations),
    st.builds(Conflict, errors),
    st.builds(Failed, errors),
)


def records(
    *,
    states: st.SearchStrategy[State] = any_state,
    hostnames: st.SearchStrategy[str] = either_name,
    times: st.SearchStrategy[datetime] = near,
) -> st.SearchStrategy[SessionRecord]:
    """Every record that annotations of the Pod `uid-1` can hold."""
    return st.builds(
        SessionRecord,
        pod_uid=st.just("uid-1"),
        state=states,
        hostname=hostnames,
        since=times,
        service=st.none() | texts.filter(bool),
        attempts=st.integers(0, 20) | st.integers(0, MOST),
        retry_at=st.none() | st.none() | times,
        last_error=errors.map(shortened),
        revision=st.integers(0, MOST),
    )


def sights(*names: str) -> st.SearchStrategy[Sight]:
    """Every look at a part; `names` are those that may be there and ours."""
    began = st.sampled_from([NEVER, STALE, FIRST_SEEN, FRESH]) | st.floats(0.0, 300.0)
    ours = st.lists(st.sampled_from(names), unique=True).map(tuple)
    foreign = st.builds(Sight, st.just(Status.FOREIGN), began, st.just("RuleConflict: foreign"), ours)
    unknown = st.builds(Sight, st.just(Status.UNKNOWN), st.just(NEVER), ours=ours)
    present = st.builds(Sight, st.just(Status.PRESENT), began, ours=ours)
    return st.one_of(
        present, present, present, st.builds(Sight, st.just(Status.MISSING), began, ours=ours), foreign, unknown
    )


@st.composite
def pods(draw: st.DrawFn, least: int = 0) -> tuple[PodFacts, ...]:
    """Up to three Pods of the hash, going or live."""
    uids = draw(st.lists(st.sampled_from(["uid-1", "uid-2", "uid-3"]), unique=True, min_size=least, max_size=3))
    created = st.sampled_from(["2026-11-23T01:00:00Z", "2026-11-23T02:00:00Z"])
    going = st.sampled_from([False, False, True])
    first_seen = st.sampled_from([0.0, FIRST_SEEN, 200.0])
    return tuple(pod(uid, created=draw(created), deleting=draw(going), first_seen=draw(first_seen)) for uid in uids)


observations = st.builds(
    Observation,
    session=st.just(HASH),
    wanted=st.just(WANTED),
    pods=pods(),
    dns=sights(HOST, OLD_HOST),
    rules=sights(HOST, OLD_HOST),
    routes=sights(*ROUTES, f"opencode-session-{HASH}-old-app"),
    permitted=st.booleans(),
)


@st.composite
def annotations(draw: st.DrawFn) -> dict[str, str]:
    """What may stand in a Pod: a record of ours that somebody has edited, or anything at all."""
    found = draw(records(hostnames=texts.filter(bool), times=seconds).map(render)) if draw(st.booleans()) else {}
    other = texts | st.sampled_from(["1", "2", "Ready", "uid-1", "-1", "٣", "9" * 5_000, "2026-02-30T00:00:00Z", ""])
    for key in draw(st.lists(st.sampled_from([*KEYS, "opencode.ai/pod-secret"]), unique=True, max_size=4)):
        if draw(st.booleans()):
            found[key] = draw(other)
        else:
            found.pop(key, None)
    return found
