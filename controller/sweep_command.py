"""`sweep`, the command for people: lists what is ours and has no Pod (`--dry-run`), or has it removed (`--force`).

`cli` calls `run`. A dry run reads everything itself and writes nothing anywhere. A forced sweep asks the leader by an
annotation on the Lease and waits for the answer; when nobody leads, it takes the Lease and does the work itself.
"""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Never

from controller import sweep_request
from controller.app import Operator, worlds
from controller.background import background
from controller.living import too_slow
from controller.settings import Settings
from controller.sweep_request import Request, Result
from controller.term import Term
from fsm.errors import SessionError, TransientError
from fsm.orphans import SweepPlan, plan
from k8s.lease_store import LeaseStore

ANSWER_WITHIN = 60.0  # seconds: a leader looks at Cloudflare before it answers
ASK_AGAIN = 0.5  # seconds between two looks at the Lease


async def run(settings: Settings, *, force: bool) -> int:
    """Carry the command out; returns the exit code.

    Raises:
        SessionError: one of the two worlds cannot be read, or the leader could not do it.
    """
    async with worlds(settings) as (kube, transport):
        operator = Operator(settings, kube, transport)
        if not force:
            return await _dry_run(operator)
        store = LeaseStore(kube, namespace=settings.watch_namespace, name=settings.lease_name)
        code = None if await _is_led(store, settings.lease_duration) else await _alone(operator, store)
        return await _ask(store) if code is None else code


async def _dry_run(operator: Operator) -> int:
    async with _watching(operator):
        term = Term(operator.base)
        orphans = await _orphans(operator, term)
    for session in sorted(orphans.due):
        names = _names(term, session)
        sys.stdout.write(f"{session}  {', '.join(names)}\n")
    sys.stdout.write(f"{len(orphans.due)} of {len(term.sweep.owned())} sessions of ours have no Pod\n")
    return 0


async def _orphans(operator: Operator, term: Term) -> SweepPlan:
    await term.resync.look()
    owned = term.sweep.owned()
    lives = await operator.base.living()(owned, ANSWER_WITHIN)
    if not owned <= lives.keys():
        raise too_slow()
    # Who is going is no orphan: the machine is removing what is theirs.
    there = {session for session in owned if lives[session]} | operator.pods.sessions()
    return plan(owned, there, {}, now=0.0, grace=0.0, force=True)


def _names(term: Term, session: str) -> list[str]:
    sights = (term.world.dns.sight(session, ()), term.world.tunnel.sight(session, (), ()))
    found = {name for sight in (*sights, term.world.routes.sight(session, ())) for name in sight.ours}
    return sorted(found)


@asynccontextmanager
async def _watching(operator: Operator) -> AsyncIterator[None]:
    """The caches, complete."""
    async with background(*operator.followers(), partial(_tell, operator)):
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                await operator.pods.reflector.synced.wait()
                await operator.routes.reflector.synced.wait()
        except TimeoutError:
            raise operator.caches_incomplete() or _SLOW from None
        yield


async def _tell(operator: Operator) -> Never:
    """What the caches (or, where nobody leads, our own lease) wait for, as soon as it is known: a person waits, too."""
    told = ""
    while True:
        await asyncio.sleep(ASK_AGAIN)
        problem = operator.caches_incomplete() or operator.elector.problem
        if problem is not None and str(problem) != told:
            told = str(problem)
            sys.stderr.write(f"waiting: {told}\n")
            sys.stderr.flush()


async def _is_led(store: LeaseStore, duration: float) -> bool:
    """Whether somebody holds the Lease and shows a sign of life within its duration."""
    first = await store.facts()
    if not first.holder:
        return False
    try:
        async with asyncio.timeout(max(duration, first.duration) + 1):
            await _sign_of_life(store, me="")
    except TimeoutError:
        return False
    return True


async def _sign_of_life(store: LeaseStore, me: str) -> None:
    """Return when somebody else takes the Lease, or renews it."""
    facts = await store.facts()
    while True:
        await asyncio.sleep(ASK_AGAIN)
        with suppress(SessionError):  # the next look may tell
            facts, former = await store.facts(), facts
            if facts.token != former.token and facts.holder not in ("", me):
                return


async def _ask(store: LeaseStore) -> int:
    request = Request(uuid.uuid4().hex)
    await store.annotate({sweep_request.REQUEST: sweep_request.render(request)})
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            return _told(await _answered(store, request))
    except TimeoutError:
        remedy = "a sweep that has begun may still be carried out: look at its log and /healthz"
        raise TransientError("SweepUnanswered", "the leader did not answer", remedy) from None
    finally:
        # A question that is left would be answered by some later leader, when nobody looks.
        with suppress(SessionError):
            if sweep_request.pending((await store.facts()).annotations) == request:
                await store.annotate({sweep_request.REQUEST: None})


async def _answered(store: LeaseStore, request: Request) -> Result:
    while True:
        result = sweep_request.answered((await store.facts()).annotations, request.id)
        if result is not None:
            return result
        await asyncio.sleep(ASK_AGAIN)


async def _alone(operator: Operator, store: LeaseStore) -> int | None:
    """Do the work under the Lease; the exit code, or None: somebody else took it meanwhile."""
    swept: list[SweepPlan] = []
    # A Lease that nobody renews is had once it has run out before our eyes.
    within = ANSWER_WITHIN + max(operator.base.settings.lease_duration, (await store.facts()).duration)

    async def work() -> None:
        limit.reschedule(None)
        try:
            swept.append(await _sweep(operator))
        finally:
            limit.reschedule(asyncio.get_running_loop().time() + within)

    try:
        async with _watching(operator), asyncio.timeout(within) as limit:
            elect = partial(operator.elector.run, work)
            async with background(elect, partial(_sign_of_life, store, operator.elector.identity)) as tasks:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    except TimeoutError:
        remedy = "look at who holds it, and try again"
        raise operator.elector.problem or TransientError("LeaseHeld", "the Lease could not be had", remedy) from None
    return _told(Result("", tuple(sorted(swept[-1].due)))) if swept else None


async def _sweep(operator: Operator) -> SweepPlan:
    """The look, and every removal that it allows.

    Raises:
        TransientError: something is left.
    """
    term = Term(operator.base)
    async with background(*term.writers()):
        try:
            decided = await term.resync.once(force=lambda: True)
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_WITHIN):
                    # A permission ends when nothing is left, or a Pod lives.
                    while decided.due & operator.witness.sessions():
                        await asyncio.sleep(ASK_AGAIN)
        finally:
            await term.queue.stop()
    if left := decided.due & operator.witness.sessions():
        why = term.client.trouble or next(iter(term.client.problems), "see the log above")
        text = f"{len(left)} of {len(decided.due)} sessions could not be removed yet ({why})"
        raise TransientError("SweepIncomplete", text, "`sweep --dry-run` lists what is left; try again")
    return decided


def _told(result: Result) -> int:
    if result.error:
        sys.stderr.write(f"the leader could not sweep: {result.error}\n")
        return 1
    for session in result.released:
        sys.stdout.write(f"{session}\n")
    sys.stdout.write(f"{len(result.released)} sessions released for removal\n")
    return 0


_SLOW: SessionError = TransientError("NotSynced", "the watches did not come to an end of their lists")
