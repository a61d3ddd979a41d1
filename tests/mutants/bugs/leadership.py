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
        "who was Ready once counts as at rest",
        "what the regular look finds missing is not mended",
        (
            Edit(
                "controller/reconcile.py",
                "return record == written and isinstance(step, Rest)",
                "return True",
            ),
        ),
    ),
)
