"""The owner mark in a record's comment, and what a record at a wanted name is to us. Pure; `zone` is the caller.

The mark is parsed, never searched: a comment that merely mentions this operator, or another owner of the same name
with something behind it, is not ours. Whatever is not clearly ours is foreign and stays untouched.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fsm.desired import DnsRecord
from fsm.session import MANAGER, Profile, hash_of_hostname

# What the operator before this one wrote, to the letter. It knew no owners.
ORIGINAL_COMMENT = f"opencode session — managed by {MANAGER}"
COMMENT_LIMIT = 100  # characters, of the smallest plan
# Also a label value of Kubernetes, which marks the routes and may be longer than what a comment has room for.
_OWNER = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_MARK = re.compile(rf"managed by {MANAGER}; owner=({_OWNER});")


def render(owner: str) -> str:
    """The comment that marks a record as `owner`'s; checked at start, never cut.

    Raises:
        ValueError: `owner` has other characters, or the comment would be too long for Cloudflare.
    """
    comment = f"managed by {MANAGER}; owner={owner};"
    if not re.fullmatch(_OWNER, owner) or len(comment) > COMMENT_LIMIT:
        limit = COMMENT_LIMIT - len(comment) + len(owner)
        raise ValueError(f"an owner id of at most {limit} letters and digits, with - . _ between them")
    return comment


def parse(comment: str) -> str | None:
    """The owner in a comment that is a mark and nothing else; None for any other comment."""
    match = _MARK.fullmatch(comment)
    return match[1] if match else None


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as Cloudflare has it; the fields that decide anything, names in lower case."""

    id: str
    type: str
    name: str
    content: str
    proxied: bool
    comment: str


def has_id(raw: object) -> bool:
    """Whether this part of a reply names a record."""
    return isinstance(raw, dict) and "id" in raw


def is_record(raw: object) -> bool:
    """Whether this part of a reply is a record, with the fields that every one has."""
    return isinstance(raw, dict) and raw.keys() >= {"id", "type", "name"}


def entry_of(raw: Mapping[str, Any]) -> Entry:
    """The entry in one record of a reply, for which `is_record` holds."""
    return Entry(
        id=str(raw["id"]),
        type=str(raw["type"]),
        name=str(raw["name"]).lower(),
        content=str(raw.get("content") or ""),
        proxied=raw.get("proxied") is True,
        comment=str(raw.get("comment") or ""),
    )


class Verdict(Enum):
    """What a record at a wanted name is to us."""

    OURS = "ours"  # exactly as wanted
    OURS_DIFFERENT = "ours, different"  # ours by a previous owner id, or changed by somebody: patched
    ADOPTABLE = "adoptable"  # the operator before this one made it: its comment alone is patched
    FOREIGN = "foreign"


def owner_of(entry: Entry, profile: Profile) -> str | None:
    """The owner that the mark of a session's record on our tunnel names; None when it is no such record."""
    return parse(entry.comment) if _leads_to_a_session(entry, profile) else None


def is_ours(entry: Entry, profile: Profile) -> bool:
    """Whether the record is ours: exactly our mark, our tunnel, and the name of a session."""
    return owner_of(entry, profile) in (profile.owner, *profile.previous_owners)


def is_anothers(entry: Entry, profile: Profile) -> bool:
    """Whether the record is another owner's: exactly a mark, our tunnel, the name of a session. Its rule is, too."""
    return owner_of(entry, profile) not in (None, profile.owner, *profile.previous_owners)


def _leads_to_a_session(entry: Entry, profile: Profile) -> bool:
    is_to_our_tunnel = entry.type == "CNAME" and entry.content.lower() == profile.tunnel_target.lower()
    return is_to_our_tunnel and hash_of_hostname(entry.name) is not None


def judge(entry: Entry, profile: Profile) -> Verdict:
    """What the record that has a wanted name is to us."""
    if is_ours(entry, profile):
        return Verdict.OURS if entry.proxied and parse(entry.comment) == profile.owner else Verdict.OURS_DIFFERENT
    is_originals = entry.comment == ORIGINAL_COMMENT and entry.proxied and _leads_to_a_session(entry, profile)
    return Verdict.ADOPTABLE if is_originals else Verdict.FOREIGN


def body_of(record: DnsRecord, profile: Profile) -> dict[str, Any]:
    """What is posted for a wanted record: no `tags` and no `settings`, which small plans refuse."""
    fixed = {"type": "CNAME", "proxied": True, "ttl": 1, "comment": render(profile.owner)}
    return {"name": record.name, "content": record.content, **fixed}


def patch_of(entry: Entry, profile: Profile) -> dict[str, Any]:
    """What is patched of a record that is to become exactly ours: what differs and nothing else."""
    wanted: dict[str, Any] = {"comment": render(profile.owner), "proxied": True}
    return {"id": entry.id, **{key: value for key, value in wanted.items() if getattr(entry, key) != value}}


CONFLICT = "RecordConflict"


def conflict_text(entry: Entry, profile: Profile) -> tuple[str, str]:
    """What is in the way, and what a person can do about it."""
    owner = parse(entry.comment)
    whose = f" of owner {owner}" if owner else ""
    text = f"{entry.name} has a record of type {entry.type}{whose} that is not this operator's"
    remedy = "delete or rename that record, and the session goes on by itself"
    if is_anothers(entry, profile):
        remedy += f"; or add {owner} to OWNER_ID_PREVIOUS, if all of that owner's may be taken over"
    return text, remedy
