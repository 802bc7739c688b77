"""Work for a client that is there: stopped when it goes away, or when it takes too long."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from sammoe.errors import DeadlineExceeded

T = TypeVar("T")


async def while_wanted(request: Request, work: Coroutine[Any, Any, T], seconds: float) -> T:
    """What ``work`` returns, or raises.

    Parameters
    ----------
    request
        All of its body has been read.
    work
        Cancelled when nobody waits for it any more.
    seconds
        How long it may take.

    Raises
    ------
    DeadlineExceeded
        It took longer.
    ClientDisconnect
        The client has gone.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        done, _ = await asyncio.wait(
            {task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if task in done:
            return task.result()
        if gone in done:
            raise ClientDisconnect
        raise _too_late(seconds)
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.wait({task, gone})


async def in_time(work: Awaitable[T], seconds: float) -> T:
    """What ``work`` returns, or raises, where something else looks after the client.

    Raises
    ------
    DeadlineExceeded
        It took longer.
    """
    try:
        async with asyncio.timeout(seconds) as deadline:
            return await work
    except TimeoutError:
        if deadline.expired():
            raise _too_late(seconds) from None
        raise


def _too_late(seconds: float) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"There was no answer within {seconds:.0f} s: ask for fewer windows, or try again."
    )


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
