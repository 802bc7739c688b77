"""A time limit for the other side's slowness, and not for this process's own."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_SLICES: Final = 5


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` and return its result; it is cancelled, and has ended, when this raises.

    The time is counted in slices that begin when the event loop runs: while it stands still (an
    encode has all cores), an answer may have come, and is read before the next slice ends.

    Raises
    ------
    TimeoutError
        The time was up.
    """
    task = asyncio.ensure_future(work)
    try:
        for _ in range(_SLICES):
            await asyncio.wait({task}, timeout=seconds / _SLICES)
            if task.done():
                return task.result()
        raise TimeoutError
    finally:
        task.cancel()
        await asyncio.wait({task})
