"""The zone's records: `controller` wishes and looks, this module lists and writes. Fills the port `Dns`.

One list of the whole zone (all types: a foreign A record of our name is a conflict, too) and one writer (`run`) that
sends batches. Each round of a write is: look if the evidence is too old -> work out what is missing -> batches; it is
the same whether nothing was done yet or a reply was lost, so every doubt ends in one more round.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Never

from cloudflare_ops import errors, journal, ownership
from cloudflare_ops.bisect import bisect
from cloudflare_ops.client import Client
from cloudflare_ops.coalesce import Census, Group, SharedLook, Ticket
from cloudflare_ops.endpoints import Endpoint
from cloudflare_ops.foresight import Foresight
from cloudflare_ops.wishes import Living, Remove, spare_living
from cloudflare_ops.zone import Claim, ZoneView
from fsm.desired import DnsRecord
from fsm.errors import SessionError, SharedError, TransientError
from fsm.observation import Sight, Status
from fsm.session import Profile

PAGE = 5000  # records per list call; the API takes more, but a page should stay a few MB
BATCH = 200  # operations per batch, of the smallest plan
ROUNDS = 4  # of one write: each doubt (lost reply, a name taken meanwhile) costs one
MAX_AGE = 2.0  # seconds between the end of a look and a patch or delete that rests on it

# Kinds of operation in the order in which they are sent: what is freed is there for what is posted.
DELETES, PATCHES, POSTS = "deletes", "patches", "posts"
# What is at the names of these calls has to be looked up; when it was too late, nothing has happened.
_UNCERTAIN = (errors.OutcomeUnknownError, errors.RecordExistsError, errors.RecordGoneError)
_DOUBTS = (*_UNCERTAIN, errors.TooLateError)


@dataclass(frozen=True)
class Ensure:
    """The records exist as wanted; evidence from before `since` is not enough."""

    records: tuple[DnsRecord, ...]
    since: float


Wish = Ensure | Remove
Tickets = Sequence[Ticket[Wish]]


@dataclass(frozen=True, eq=False)
class _Operation:
    kind: str
    name: str
    body: Mapping[str, Any]
    ticket: Ticket[Wish]
    before: float = math.inf  # when its call has to begin, if it rests on something that gets old


class Dns:
    """`living` is the proof before a removal, `foresight` hears of who comes alone; one object per term of leadership,
    like its client."""

    def __init__(
        self,
        client: Client,
        profile: Profile,
        *,
        living: Living,
        census: Census,
        now: Callable[[], float],
        foresight: Foresight,
        batch: int = BATCH,
        page: int = PAGE,
    ) -> None:
        self._client = client
        self._profile = profile
        self._living = living
        self._now = now
        self._foresight = foresight
        self._batch = batch
        self._page = page
        self._zone = ZoneView(profile)
        self._quota = client.breaker()
        # Lists and batches take turns, so that no list tells what was before a write that it overlapped.
        self._calling = asyncio.Lock()
        self._look = SharedLook(self._list, seen=lambda: self._zone.began, census=census, now=now)
        self._group: Group[Wish] = Group(self._write, census=census, now=now, pace=client.budget.pace)

    def sight(self, session: str, wanted: tuple[DnsRecord, ...]) -> Sight:
        return self._zone.sight(session, wanted)

    def sessions(self) -> set[str]:
        return set(self._zone.sessions())

    def claim(self, name: str) -> Claim:
        """Whose record stands at this name, as last seen: what `tunnel` asks about a rule."""
        return self._zone.claim(name)

    async def look(self, since: float) -> None:
        await self._look.after(since)

    async def ensure(self, records: tuple[DnsRecord, ...], since: float) -> None:
        await self._group.join(Ensure(records, since))

    async def remove(self, session: str, keep: tuple[str, ...]) -> None:
        await self._group.join(Remove(session, keep))

    async def run(self) -> Never:
        """The writer; never returns."""
        await self._group.run()

    async def _list(self) -> None:
        domain = str((await self._client.zone())["name"]).lower()
        if not f".{self._profile.domain}".endswith(f".{domain}"):
            text = f"{self._profile.domain} is not in the zone {domain}"
            raise SharedError("DomainNotInZone", text, "set DOMAIN or CF_ZONE_ID so that they fit")
        async with self._calling:
            began = self._now()
            raw = await self._pages()
            self._zone.replace(domain, raw, began=began, ended=self._now())

    async def _pages(self) -> list[dict[str, Any]]:
        """Every record of the zone; a list that is cut short is an error, never a smaller zone."""
        raw: list[dict[str, Any]] = []
        while True:
            number = len(raw) // self._page + 1
            params = {"page": number, "per_page": self._page}
            reply = await self._client.call("GET", Endpoint.RECORDS, params=params, accept=_accept_page)
            raw += reply["result"]
            total = reply["result_info"]["total_count"]
            if len(raw) >= total:
                return raw
            if len(raw) != number * self._page:
                raise TransientError("ListCutShort", "Cloudflare listed fewer records than it says there are")

    async def _write(self, tickets: Tickets) -> None:
        error: SessionError | None = None
        for rounds_left in reversed(range(ROUNDS + len(tickets) // self._batch)):
            try:
                operations = await self._compose([ticket for ticket in tickets if ticket.error is None])
                await self._send(operations, is_last=not rounds_left)
                error = None
                break
            except SessionError as met:
                error = met
                if not isinstance(error, _DOUBTS):
                    break
        self._blame(tickets, error)

    async def _compose(self, tickets: Tickets) -> list[_Operation]:
        """What is missing, on evidence that is good enough for it."""
        await self._look.after(max((self._needed(ticket.wish) for ticket in tickets), default=-math.inf))
        # Of this look, not of one that somebody else takes while we ask: the question would get older than it may.
        before = self._zone.ended + MAX_AGE
        await spare_living(tickets, self._living, within=MAX_AGE / 2)
        return [operation for ticket in tickets if ticket.error is None for operation in self._plan(ticket, before)]

    def _needed(self, wish: Wish) -> float:
        """When the look must have begun that this wish can rest on. A name that was free is posted on any look."""
        # Half the age is kept for the question who lives, and for the way.
        fresh = self._now() if self._zone.ended + MAX_AGE / 2 < self._now() else -math.inf
        if isinstance(wish, Remove):
            return fresh
        needed = -math.inf
        for record in wish.records:
            status, seen = self._zone.status(record), self._zone.at(record.name)
            if status in (Status.PRESENT, Status.FOREIGN) and seen.began < wish.since:
                needed = max(needed, wish.since)
            elif status is Status.MISSING and seen.entries:
                needed = max(needed, fresh)
        return needed

    def _plan(self, ticket: Ticket[Wish], before: float) -> list[_Operation]:
        wish = ticket.wish
        if isinstance(wish, Remove):
            entries = [entry for entry in self._zone.ours(wish.session) if entry.name not in wish.keep]
            return [_Operation(DELETES, entry.name, {"id": entry.id}, ticket, before) for entry in entries]
        operations = []
        for record in wish.records:
            match self._zone.status(record):
                case Status.FOREIGN:
                    ticket.error = self._zone.conflict(record)
                    return []
                case Status.MISSING:
                    operations.append(self._mend(record, ticket, before))
        return operations

    def _mend(self, record: DnsRecord, ticket: Ticket[Wish], before: float) -> _Operation:
        for entry in self._zone.at(record.name).entries or ():
            return _Operation(PATCHES, record.name, ownership.patch_of(entry, self._profile), ticket, before)
        return _Operation(POSTS, record.name, ownership.body_of(record, self._profile), ticket)

    async def _send(self, operations: Sequence[_Operation], *, is_last: bool) -> None:
        match operations:
            case [_Operation(kind=kind, ticket=Ticket(wish=Ensure(since=since)))] if kind == POSTS:
                self._foresight.tell(since)
        # In the last round a doubt about a member is the member's own; before, a look tells it with fewer calls.
        refused = errors.VERDICTS if is_last else (errors.RejectedError, errors.QuotaExceededError)
        for kind in (DELETES, PATCHES, POSTS):
            those = [operation for operation in operations if operation.kind == kind]
            for start in range(0, len(those), self._batch):
                for operation, error in await bisect(those[start : start + self._batch], self._call, refused):
                    operation.ticket.error = operation.ticket.error or error

    async def _call(self, operations: Sequence[_Operation]) -> None:
        kind, names = operations[0].kind, [operation.name for operation in operations]
        body = {kind: [dict(operation.body) for operation in operations]}
        before = operations[0].before  # of one round and kind, all have the same
        if kind == POSTS:
            self._quota.check()
        async with self._calling:
            began = self._now()
            try:
                reply = await self._client.call("POST", Endpoint.BATCH, body=body, before=before)
                self._absorb(kind, reply, len(operations), began)
            except (*_UNCERTAIN, asyncio.CancelledError):
                self._zone.doubt(names)
                journal.tell_records(kind, names, is_doubtful=True)
                raise
            except errors.QuotaExceededError as error:
                if len(operations) == 1:
                    self._quota.trip(POSTS, error)
                raise
        journal.tell_records(kind, names)
        self._told_of_quota(kind)

    def _absorb(self, kind: str, reply: Mapping[str, Any], expected: int, began: float) -> None:
        result = reply.get("result")
        raw = result.get(kind) if isinstance(result, dict) else None
        # The reply to a delete may hold nothing but the ids.
        is_whole = ownership.has_id if kind == DELETES else ownership.is_record
        if not isinstance(raw, list) or len(raw) != expected or not all(map(is_whole, raw)):
            raise errors.OutcomeUnknownError("CloudflareError", "the reply to a batch does not tell what was done")
        if kind == DELETES:
            self._zone.drop(raw, began=began)
        else:
            self._zone.absorb(raw, began=began)

    def _told_of_quota(self, kind: str) -> None:
        if kind == POSTS:
            self._quota.passed(POSTS)
        elif kind == DELETES:
            self._quota.hasten()

    def _blame(self, tickets: Tickets, error: SessionError | None) -> None:
        """A record is there when it was seen, not when it was sent: what came back different must meet a backoff."""
        for ticket in tickets:
            fulfilled = self._is_there(ticket.wish) if isinstance(ticket.wish, Ensure) else error is None
            if ticket.error is None and not fulfilled:
                ticket.error = error or TransientError("RecordNotAsWanted", "Cloudflare did not keep what was sent")

    def _is_there(self, wish: Ensure) -> bool:
        return all(
            self._zone.status(record) is Status.PRESENT and self._zone.at(record.name).began >= wish.since
            for record in wish.records
        )


def _accept_page(reply: Mapping[str, Any]) -> None:
    match reply:
        case {"result": list(result), "result_info": {"total_count": int()}} if all(map(ownership.is_record, result)):
            return
    raise TransientError("CloudflareError", "the list of records is not complete")
