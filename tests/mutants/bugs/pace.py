"""Bugs in how often anything is tried: backoff, budget, and watches that begin anew."""

from tests.mutants.mutant import Edit, Mutant

BUGS = (
    Mutant(
        "a rename moves on by itself",
        "a session says that its new hostname has a record before it is there",
        (
            Edit(
                "fsm/record.py",
                "    return replace(_cleared(record), hostname=hostname,",
                "    return replace(_cleared(record), state=State.DNS_CREATED, hostname=hostname,",
            ),
        ),
    ),
    Mutant(
        "backoff lost on restart",
        "each new leader begins to try at once, and counts from nothing",
        (
            Edit(
                "controller/memory.py",
                "        self._ghosts: dict[str, SessionRecord] = {}\n",
                "        self._ghosts: dict[str, SessionRecord] = {}\n        self._known: set[str] = set()\n",
            ),
            Edit(
                "controller/memory.py",
                "            case SessionRecord():\n",
                "            case SessionRecord() if carrier.uid not in self._known:\n"
                "                self._known.add(carrier.uid)\n"
                "                return replace(result, attempts=0, retry_at=None)\n"
                "            case SessionRecord():\n",
            ),
        ),
    ),
    Mutant(
        "Retry-After not kept",
        "what asks for silence is asked again at once, until it blocks the token for five minutes",
        (Edit("cloudflare_ops/client.py", "            self.budget.block(error.retry_after)", "            pass"),),
    ),
)
