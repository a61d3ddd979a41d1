"""One bad item fails alone: halves of what was refused are tried until the bad ones stand by themselves.

`dns` bisects a batch, `tunnel` the wishes in a document; both accept or refuse a call as a whole.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from fsm.errors import SessionError

# So many items refused and none taken: it is not the items. The others get the last error, instead of a call each.
PATIENCE = 8

T = TypeVar("T")


async def bisect(
    items: Sequence[T],
    send: Callable[[Sequence[T]], Awaitable[None]],
    refused: type[SessionError] | tuple[type[SessionError], ...],
) -> list[tuple[T, SessionError]]:
    """Send `items` in as few calls as the refusals allow; what was refused, with the error, in their order.

    Costs one call when all are fine, and at most 2 * log2(n) + 1 for one bad item among n. Other errors pass.
    """
    failures: list[tuple[T, SessionError]] = []
    is_any_taken = False

    async def attempt(part: Sequence[T]) -> None:
        nonlocal is_any_taken
        if len(failures) >= PATIENCE and not is_any_taken:
            failures.extend((item, failures[-1][1]) for item in part)
            return
        try:
            await send(part)
            is_any_taken = True
        except refused as error:
            if len(part) == 1:
                failures.append((part[0], error))
                return
            middle = len(part) // 2
            await attempt(part[:middle])
            await attempt(part[middle:])

    if items:
        await attempt(items)
    return failures
