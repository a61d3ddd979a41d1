"""Bugs in what must be true before anything is removed, and in the sweep."""

from tests.mutants.mutant import Edit, Mutant

BUGS = (
    Mutant(
        "live check by the selector",
        "a session whose Pod left the selection is torn down",
        (
            Edit(
                "k8s/pods.py",
                """in ({','.join(sorted(sessions))})"),)""",
                """in ({','.join(sorted(sessions))}),{self.reflector._selector[0][1]}"),)""",
            ),
        ),
    ),
    Mutant(
        "removal wish not decided again",
        "a session that came back before the write is torn down",
        (
            Edit(
                "cloudflare_ops/wishes.py",
                "    total = [t for t in tickets if isinstance(",
                "    total: list[Ticket[Any]] = []\n    _ = [t for t in tickets if isinstance(",
            ),
        ),
    ),
    Mutant(
        "whoever was not told of in time has ended",
        "a session that came back is torn down among many whose API server is slow to tell who lives",
        (
            Edit(
                "cloudflare_ops/wishes.py",
                "            ticket.error = PostponedError()",
                "            continue",
            ),
        ),
    ),
    Mutant(
        "the answer of one portion taken for all",
        "a session that came back is torn down on an answer that is not about it",
        (
            Edit(
                "controller/living.py",
                "session in alive for session in portion}",
                "session in alive for session in asked}",
            ),
        ),
    ),
    Mutant(
        "a postponed removal is nobody's",
        "of many that end beside a slow API server some are never removed",
        (Edit("cloudflare_ops/coalesce.py", "            self._waiting[:0] = postponed\n", ""),),
    ),
    Mutant(
        "teardown of a hash that has another live Pod",
        "a Pod that is still going speaks for its successor",
        (
            Edit(
                "fsm/observation.py", "(not pod.deleting, pod.created, pod.uid)", "(pod.deleting, pod.created, pod.uid)"
            ),
        ),
    ),
    Mutant(
        "the proof of a record's removal never gets old",
        "a session that came back while Cloudflare was slow loses its record",
        (
            Edit(
                "cloudflare_ops/dns.py",
                "        before = self._zone.ended + MAX_AGE",
                "        before = math.inf",
            ),
        ),
    ),
    Mutant(
        "sweep on one sighting",
        "what one look missed is removed",
        (
            Edit(
                "fsm/orphans.py",
                "if force or (session in suspects and now - first > grace)",
                "if force or now >= first",
            ),
        ),
    ),
    Mutant(
        "sweep on a partial list",
        "a cache that is not complete yet makes orphans of everybody",
        (Edit("controller/resync.py", "        await self._listed()\n", ""),),
    ),
    Mutant(
        "brake off",
        "an operator that looks into the wrong namespace tears everything down",
        (Edit("fsm/orphans.py", "    if not force and len(missed)", "    if force and len(missed)"),),
    ),
)
