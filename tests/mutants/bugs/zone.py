"""Bugs in whose a DNS record is, and in how records are written."""

from tests.mutants.mutant import Edit, Mutant

BUGS = (
    Mutant(
        "removal without ownership check",
        "foreign records of a session's name are deleted",
        (
            Edit(
                "cloudflare_ops/zone.py",
                "for e in self.at(name).entries or () if is_ours(e, self._profile))",
                "for e in self.at(name).entries or ())",
            ),
        ),
    ),
    Mutant(
        "another owner's rule is ours by the Pod's record",
        "who forgets to name the former owner id loses the rules of the sessions that this one still serves",
        (Edit("cloudflare_ops/zone.py", "return Claim.ANOTHERS", "return Claim.FOREIGN"),),
    ),
    Mutant(
        "a look comes before the record alone",
        "a new leader that was not told the former owner id goes on where that one stopped, beside its record",
        (
            Edit(
                "fsm/decide.py",
                "if look := _first_look(seen):",
                "if record.state is State.PENDING and (look := _first_look(seen)):",
            ),
        ),
    ),
    Mutant(
        "mark searched instead of parsed",
        "a record whose comment only mentions us is ours",
        (Edit("cloudflare_ops/ownership.py", "_MARK.fullmatch(comment)", "_MARK.search(comment)"),),
    ),
    Mutant(
        "overwrite a record instead of conflict",
        "a foreign record of a session's name is patched",
        (Edit("cloudflare_ops/ownership.py", "if is_originals else Verdict.FOREIGN", "if True else Verdict.FOREIGN"),),
    ),
    Mutant(
        "a record without the proxy is good enough",
        "a hostname whose proxy somebody switched off leads nowhere, and its session says Ready",
        (
            Edit(
                "cloudflare_ops/ownership.py",
                "if entry.proxied and parse(entry.comment) ==",
                "if parse(entry.comment) ==",
            ),
        ),
    ),
    Mutant(
        "no mark on what is adopted",
        "records of the operator before this one stay without an owner, and every look patches them again",
        (
            Edit(
                "cloudflare_ops/ownership.py",
                'wanted: dict[str, Any] = {"comment": render(profile.owner), "proxied": True}',
                'wanted: dict[str, Any] = {"proxied": True}',
            ),
        ),
    ),
    Mutant(
        "deletes mixed with posts",
        "one bad post takes all deletes with it",
        (
            Edit(
                "cloudflare_ops/dns.py",
                "            those = [operation for operation in operations if operation.kind == kind]",
                "            those = list(operations) if kind == POSTS else []",
            ),
            Edit(
                "cloudflare_ops/dns.py",
                "        body = {kind: [dict(operation.body) for operation in operations]}",
                "        body: dict[str, Any] = {}\n"
                "        for operation in operations:\n"
                "            body.setdefault(operation.kind, []).append(dict(operation.body))",
            ),
        ),
    ),
)
