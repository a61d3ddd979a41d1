"""Bugs in the edit of the tunnel's one document, which others write, too."""

from tests.mutants.mutant import Edit, Mutant

BUGS = (
    Mutant(
        "the record's own rule is foreign",
        "a session whose rule points at the former service is in conflict with itself, and leaves the rule behind",
        (Edit("cloudflare_ops/ingress.py", "rule != wanted and rule not in recorded", "rule != wanted"),),
    ),
    Mutant(
        "version jump ignored",
        "a foreign edit that was overwritten is never reported",
        (Edit("cloudflare_ops/tunnel.py", "<= read.version + 1:", "<= read.version + 1000:"),),
    ),
    Mutant(
        "PUT from an old read",
        "what a tool wrote within the last minute is lost",
        (
            Edit("cloudflare_ops/tunnel.py", "REUSE = 1.0", "REUSE = 60.0"),
            Edit("cloudflare_ops/tunnel.py", "MAX_AGE = 2.0", "MAX_AGE = 62.0"),
        ),
    ),
    Mutant(
        "age of the read not checked at the send",
        "a replica that was paused writes a document of before the pause",
        (Edit("cloudflare_ops/tunnel.py", "before = document.ended + MAX_AGE", "before = math.inf"),),
    ),
    Mutant(
        "unknown fields dropped",
        "everything in the document that nobody told us about is lost",
        (
            Edit(
                "cloudflare_ops/ingress.py",
                '    return {**before.config, "ingress": [*ingress,',
                '    return {"ingress": [*ingress,',
            ),
        ),
    ),
    Mutant(
        "options of rules dropped",
        "foreign rules lose their paths and options",
        (
            Edit(
                "cloudflare_ops/ingress.py",
                "    kept = [rule for rule in before.rules if plain(rule) not in new | drop]",
                '    names = ("hostname", "service")\n'
                "    bare = [{key: rule[key] for key in names if key in rule} for rule in before.rules]\n"
                "    kept = [rule for rule in bare if plain(rule) not in new | drop]",
            ),
        ),
    ),
    Mutant(
        "rule appended after the wildcard",
        "the wildcard gets the session's requests",
        (
            Edit(
                "cloudflare_ops/ingress.py",
                "        return next((place for place, pattern in self._wide if catches(pattern, hostname)), "
                "len(self.rules))",
                "        return len(self.rules)",
            ),
        ),
    ),
    Mutant(
        "overwrite a rule instead of conflict",
        "a foreign rule of a session's name is hidden, and nobody is told",
        (
            Edit(
                "cloudflare_ops/ingress.py",
                "            return Status.FOREIGN\n",
                "            return Status.MISSING\n",
            ),
        ),
    ),
)
