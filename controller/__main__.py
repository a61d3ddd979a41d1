"""The first lines of the process, as the installed script and as `python -m controller`; `cli` goes on.

The first process of a container gets no signal for which it has no handler, and under the CPU limit the imports alone
take seconds: a SIGTERM in that time was lost, and the Pod stayed until it was killed, perhaps with the Lease.
"""

import signal
import sys


def main() -> None:
    """Carry out the command line of this process, and end it with its exit code."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    from controller import cli  # noqa: PLC0415 (after the handler)

    cli.main()


if __name__ == "__main__":
    main()
