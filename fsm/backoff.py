"""How long a session waits after a failure: arithmetic only, the jitter is an argument.

Called by `fsm.record`; `controller.reconcile` brings the random number.
"""

BASE = 2.0  # seconds after the first failure, before jitter
CAP = 300.0  # seconds: the longest wait, and the pace of failures that need a person


def delay(attempts: int, jitter: float) -> float:
    """Seconds to wait after `attempts` failures (0: none) with `jitter` in [0, 1): half fixed, half random."""
    if attempts <= 0:
        return 0.0
    # The exponent is bounded before the power: a hand-edited count of 10,000 must not overflow.
    ceiling = min(CAP, BASE * 2.0 ** min(attempts - 1, 16))
    return ceiling * (0.5 + jitter / 2.0)
