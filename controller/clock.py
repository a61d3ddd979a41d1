"""The process's clocks: `app` hands them to everybody, tests and simulations hand out others."""

import time
from datetime import UTC, datetime


def monotonic() -> float:
    """Seconds that only grow and count suspended time: a paused node must not believe that its lease still holds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def wall() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)
