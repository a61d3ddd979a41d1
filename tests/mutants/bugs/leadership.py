"""Bugs in who may write."""

from tests.mutants.mutant import Edit, Mutant

BUGS = (
    Mutant(
        "lease ignored after a pause",
        "a replica that was stopped goes on writing beside the new leader",
        (
            Edit(
                "cloudflare_ops/client.py",
                "        if request.is_write and self._remaining() < self._limit:",
                "        if False:",
            ),
        ),
    ),
    Mutant(
        "who has begun counts as at rest",
        "a new leader leaves alone what the last one had begun",
        (
            Edit(
                "controller/reconcile.py",
                "return seen.live is not None and record == written and isinstance(step, Rest | Refuse)",
                "return seen.live is not None and record == written",
            ),
        ),
    ),
)
