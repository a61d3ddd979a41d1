"""The tunnel's one document: `controller` wishes and looks, this module reads, edits and writes. Fills the port
`Tunnel`.

Cloudflare has no precondition and no history for this document: the last writer wins, whole. So there is one writer
(`run`) that reads, edits (`ingress`) and writes at most two seconds after the end of the read, and then looks at the
version: a jump means that somebody wrote in between and that their edit may be lost. That is reported, and the document
is read and merged again.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Never

from cloudflare_ops import errors, journal
from cloudflare_ops.bisect import bisect
from cloudflare_ops.client import Client
from cloudflare_ops.coalesce import Census, Group, SharedLook, Ticket
from cloudflare_ops.document import Document, accept_read, accept_written, of_reply
from cloudflare_ops.endpoints import Endpoint
from cloudflare_ops.foresight import Foresight
from cloudflare_ops.ingress import edit, is_valid
from cloudflare_ops.wishes import Living, Remove, spare_living
from cloudflare_ops.zone import Claim
from fsm.desired import TunnelRule
from fsm.errors import PermanentError, SessionError, StaleError, TransientError
from fsm.observation import Sight, Status
from fsm.session import Profile

MAX_AGE = 2.0  # seconds between the end of a read and the write that rests on it: the window for a foreign writer
REUSE = 1.0  # seconds: half of that age for what was read for a look, the other half is for the way
ROUNDS = 4  # of one write: each lost reply and each foreign write in between costs one
_WORST_FIRST = (Status.FOREIGN, Status.MISSING)


@dataclass(frozen=True)
class Ensure:
    """The rules exist as wanted; `recorded` are rules that the session's Pod says we wrote.

    Evidence from before `since` is not enough.
    """

    rules: tuple[TunnelRule, ...]
    recorded: tuple[TunnelRule, ...]
    since: float


Wish = Ensure | Remove
Tickets = Sequence[Ticket[Wish]]


class Tunnel:
    """`claim` tells whose record stands at a name (`Dns.claim`), `on_overwrite` gets the version that was read and the
    one that was written over a foreign edit; one object per term of leadership, like its client."""

    def __init__(
        self,
        client: Client,
        profile: Profile,
        *,
        claim: Callable[[str], Claim],
        living: Living,
        foresight: Foresight,
        census: Census,
        now: Callable[[], float],
        on_overwrite: Callable[[int, int], None],
    ) -> None:
        self._client = client
        self._profile = profile
        self._claim = claim
        self._living = living
        self._now = now
        self._on_overwrite = on_overwrite
        self._document: Document | None = None
        # Reads and writes take turns, so that no read tells what was before a write that it overlapped.
        self._calling = asyncio.Lock()
        self._foresight = foresight
        self._look = SharedLook(self._observe, seen=self._began, census=census, now=now)
        self._group: Group[Wish] = Group(self._write, census=census, now=now, pace=client.budget.pace)

    def sight(self, session: str, wanted: tuple[TunnelRule, ...], recorded: tuple[TunnelRule, ...]) -> Sight:
        if self._document is None:
            return Sight(Status.UNKNOWN)
        ingress = self._document.ingress
        by_status = {ingress.status(rule, recorded): rule for rule in wanted}
        worst = next((status for status in _WORST_FIRST if status in by_status), Status.PRESENT)
        problem = str(ingress.conflict(by_status[worst])) if worst is Status.FOREIGN else ""
        # A rule whose record is in doubt may be ours, and left.
        claims = (Claim.OURS, Claim.NOBODY, Claim.UNKNOWN)
        ours = dict.fromkeys(rule.hostname for rule in self._ours(self._document, session, recorded, claims))
        return Sight(worst, self._document.began, problem, tuple(ours))

    def sessions(self) -> set[str]:
        if (document := self._document) is None:
            return set()
        return {session for session in document.by_session if self._ours(document, session, ())}

    async def look(self, since: float) -> None:
        await self._look.after(since)

    async def ensure(self, rules: tuple[TunnelRule, ...], recorded: tuple[TunnelRule, ...], since: float) -> None:
        for rule in rules:
            if not is_valid(rule):
                text = f"{rule.hostname} -> {rule.service} is no rule that cloudflared takes"
                raise PermanentError(
                    "RuleRejected", text, "ROUTER_SERVICE_URL must be scheme://host:port, without a path"
                )
        await self._group.join(Ensure(rules, recorded, since))

    async def remove(self, session: str, keep: tuple[str, ...], recorded: tuple[TunnelRule, ...]) -> None:
        await self._group.join(Remove(session, keep, recorded))

    async def run(self) -> Never:
        """The writer; never returns."""
        await self._group.run()

    async def read_ahead(self) -> Never:
        """Read the document for who was foreseen; never returns."""
        while True:
            since = await self._foresight.told()
            # When writes are that far apart, what is read now would be too old, and was one of few calls.
            if self._client.budget.pace() < REUSE:
                with suppress(Exception):  # whoever needs it meets the same, and tells
                    await self.look(max(since, self._now() - REUSE / 2))

    def _began(self) -> float | None:
        return self._document.began if self._document else None

    async def _observe(self) -> None:
        async with self._calling:
            await self._read()

    async def _read(self) -> Document:
        # The path needs the zone's account, which a new leader has to ask for first. That is no age of the document: a
        # quarter of a second for it made the first document too old to be used, and the first session cost a read more.
        await self._client.zone()
        began = self._now()
        return self._take(await self._client.call("GET", Endpoint.TUNNEL, accept=accept_read), began)

    def _take(self, reply: Mapping[str, Any], began: float) -> Document:
        self._document = of_reply(reply, began, self._now())
        return self._document

    async def _write(self, tickets: Tickets) -> None:
        removals_first = sorted(tickets, key=lambda ticket: isinstance(ticket.wish, Ensure))
        for ticket, error in await bisect(removals_first, self._merge, errors.RejectedError):
            ticket.error = ticket.error or error

    async def _merge(self, tickets: Tickets) -> None:
        """Read, edit, write, until nothing is left to change and nobody wrote in between."""
        error = TransientError("TunnelContended", "somebody else keeps writing the tunnel's configuration")
        for number in range(ROUNDS):
            open_tickets = [ticket for ticket in tickets if ticket.error is None]
            if not open_tickets:
                return
            try:
                if await self._merge_once(open_tickets, may_reuse=number == 0):
                    return
            except (errors.TooLateError, errors.OutcomeUnknownError) as met:
                error = met
        raise error

    async def _merge_once(self, tickets: Tickets, *, may_reuse: bool) -> bool:
        """Whether the document is as wished, and nobody else wrote meanwhile."""
        async with self._calling:
            # Both calls at once: a write that waited for the budget would rest on a read that is too old, for ever.
            await self._client.budget.room(2)
            document = (self._recent(tickets) if may_reuse else None) or await self._read()
            # After the read, which may wait for minutes (a 429): from here on the document's age bounds everything.
            await spare_living(tickets, self._living, within=MAX_AGE * 3 / 4)
            config = self._edited(document, [ticket for ticket in tickets if ticket.error is None])
            if config == document.ingress.config:
                return True
            began = self._now()
            try:
                body = {"config": config}
                before = document.ended + MAX_AGE
                reply = await self._client.call("PUT", Endpoint.TUNNEL, body=body, before=before, accept=accept_written)
            except (errors.OutcomeUnknownError, asyncio.CancelledError):
                self._document = None
                journal.tell_document(document, of_reply({"result": body}, began, began), is_doubtful=True)
                raise
            written = self._take(reply, began)
            journal.tell_document(document, written)
            is_next = self._is_next(document, written)
            if is_next:
                self._blame(written, tickets)
            return is_next

    def _recent(self, tickets: Tickets) -> Document | None:
        """The document in the cache, if it is good enough: a session that comes alone then costs one call less."""
        document = self._document
        needed = max((ticket.wish.since for ticket in tickets if isinstance(ticket.wish, Ensure)), default=-math.inf)
        # From its beginning: a process that was suspended beside a reply does not know since when it lay there.
        is_recent = document is not None and document.began + REUSE >= self._now() and document.began >= needed
        return document if is_recent else None

    def _is_next(self, read: Document, written: Document) -> bool:
        if read.version is None or written.version is None or written.version <= read.version + 1:
            return True
        self._on_overwrite(read.version, written.version)
        return False

    def _blame(self, written: Document, tickets: Tickets) -> None:
        """What the reply does not show as wished was not done: it must meet a backoff, and be told."""
        added = {rule for ticket in tickets if isinstance(ticket.wish, Ensure) for rule in ticket.wish.rules}
        for ticket in [ticket for ticket in tickets if ticket.error is None]:
            if isinstance(ticket.wish, Remove):
                is_kept = not self._removable(written, ticket, ticket.wish) - added
            else:
                is_kept = all(written.ingress.status(rule, ()) is Status.PRESENT for rule in ticket.wish.rules)
            if not is_kept:
                ticket.error = TransientError("RuleNotAsWanted", "Cloudflare did not keep what was sent")

    def _edited(self, document: Document, tickets: Tickets) -> dict[str, Any]:
        add: set[TunnelRule] = set()
        drop: set[TunnelRule] = set()
        for ticket in tickets:
            if isinstance(ticket.wish, Remove):
                drop |= self._removable(document, ticket, ticket.wish)
            elif error := self._refusal(document, ticket.wish):
                ticket.error = error
            else:
                add |= set(ticket.wish.rules)
                drop |= {
                    old for old in ticket.wish.recorded if any(old.hostname == n.hostname for n in ticket.wish.rules)
                }
        return edit(document.ingress.config, add=add, drop=drop - add)

    def _refusal(self, document: Document, wish: Ensure) -> SessionError | None:
        """Why nothing may be written: the name or a rule of it is not ours, or nobody knows yet whether it is."""
        for rule in wish.rules:
            claim = self._claim(rule.hostname)
            if claim is Claim.ANOTHERS:
                return StaleError("RecordTaken", "the name has another owner's record by now")
            if document.ingress.status(rule, wish.recorded) is Status.FOREIGN:
                return document.ingress.conflict(rule)
            if claim is Claim.UNKNOWN and document.ingress.status(rule, ()) is Status.FOREIGN:
                return _in_doubt()
        return None

    def _removable(self, document: Document, ticket: Ticket[Wish], wish: Remove) -> set[TunnelRule]:
        ours = self._ours(document, wish.session, wish.recorded)
        doubtful = self._ours(document, wish.session, wish.recorded, (Claim.UNKNOWN,))
        left = {rule for rule in (*ours, *doubtful) if rule.hostname not in wish.keep}
        if any(rule not in ours for rule in left):
            ticket.error = _in_doubt()
            return set()
        return left

    def _ours(
        self,
        document: Document,
        session: str,
        recorded: Sequence[TunnelRule],
        claims: Sequence[Claim] = (Claim.OURS, Claim.NOBODY),
    ) -> list[TunnelRule]:
        """The session's rules that are ours: the Pod's record says so, or the service and the record at the name do.

        The record stands for the rule, which carries no mark; one with nobody's record at its name is an orphan. Where
        another owner's stands, the Pod's record names that one's rule: whoever led then wrote it.
        """
        service, by_record = self._profile.service, (*claims, Claim.FOREIGN)
        return [
            rule
            for rule in document.by_session.get(session, ())
            if (rule in recorded and self._claim(rule.hostname) in by_record)
            or (rule.service == service and self._claim(rule.hostname) in claims)
        ]


def _in_doubt() -> TransientError:
    return TransientError("RecordUnknown", "the rule's DNS record was not seen yet, it stands for the rule")
