"""Bugs in what counts as evidence, and when a state may be written."""

from tests.mutants.mutant import Edit, Mutant

BUGS = (
    Mutant(
        "old evidence counted",
        "Ready on what was seen before the Pod was there",
        (
            Edit(
                "fsm/observation.py",
                "return sight.status is not Status.UNKNOWN and sight.began >= self.since",
                "return sight.status is not Status.UNKNOWN",
            ),
        ),
    ),
    Mutant(
        "state written before the effect",
        "the record promises what is not there yet, and may never be",
        (
            Edit("controller/reconcile.py", "import Effect, VerifyReady", "import Effect, EnsureDns, VerifyReady"),
            Edit(
                "controller/reconcile.py",
                "            effect = step.effect\n",
                "            effect = step.effect\n"
                "            if isinstance(effect, EnsureDns):\n"
                "                step = Move(Trigger.RECORD_EXISTS)\n"
                "                ahead = move(record, step.trigger, self._wall(), service='', jitter=0.0)\n"
                "                await self._write(seen, ahead, written)\n",
            ),
            Edit(
                "controller/reconcile.py",
                "from fsm.session import Profile\n",
                "from fsm.session import Profile\nfrom fsm.states import Trigger\n",
            ),
        ),
    ),
    Mutant(
        "drift not seen",
        "what somebody removed stays away",
        (
            Edit(
                "fsm/decide.py",
                "        if seen.is_fresh(sight) and sight.status is not Status.PRESENT:",
                "        if seen.is_fresh(sight) and sight.status is Status.FOREIGN:",
            ),
        ),
    ),
    Mutant(
        "the content of a route not compared",
        "a route that somebody changed stays as it is, and its session says Ready",
        (Edit("k8s/route_facts.py", "[spec.get(key) for key in _SPEC]", "[key for key in _SPEC if key not in spec]"),),
    ),
    Mutant(
        "routes are always fresh",
        "Ready on routes that were seen before the Pod was there, or before our own last write of them",
        (
            Edit(
                "k8s/routes.py",
                "min((sight.began for sight in seen), default=NEVER), ours=ours)",
                "self._now(), ours=ours)",
            ),
        ),
    ),
    Mutant(
        "lost reply taken as failure",
        "nobody looks up what a write did whose reply was lost",
        (Edit("cloudflare_ops/errors.py", 'if method == "GET" or not sent:', "if True:"),),
    ),
)
