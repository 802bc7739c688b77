"""Whose window is embedded next: clicks before warm-up.

Later clicks need no encode, and engines decode beside encodes. First clicks go to the engine at
once, where they take turns. Windows that nobody waits for go one at a time, while no click's is
under way: so a click waits for one of them at most.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(eq=False)
class _Waiter:
    key: str
    wanted: bool = False
    look: asyncio.Event = field(default_factory=asyncio.Event)


class Turns:
    """For one event loop."""

    def __init__(self) -> None:
        self._clicks = 0
        self._warming = False
        self._waiting: list[_Waiter] = []

    def want(self, key: str) -> None:
        """Somebody clicks on a window with that embedding key: if it waits, it does no longer."""
        for waiter in self._waiting:
            if waiter.key == key:
                waiter.wanted = True
                waiter.look.set()

    @asynccontextmanager
    async def click(self) -> AsyncIterator[None]:
        """Embed for a click."""
        self._clicks += 1
        try:
            yield
        finally:
            self._clicks -= 1
            self._wake()

    @asynccontextmanager
    async def warm_up(self, key: str) -> AsyncIterator[None]:
        """Embed what nobody waits for, when it is its turn."""
        if await self._turn(key):
            async with self.click():
                yield
            return
        self._warming = True
        try:
            yield
        finally:
            self._warming = False
            self._wake()

    async def _turn(self, key: str) -> bool:
        """Wait for it; whether somebody wants the window by then."""
        waiter = _Waiter(key)
        self._waiting.append(waiter)
        try:
            while not waiter.wanted and (self._clicks or self._warming):
                waiter.look.clear()
                await waiter.look.wait()
        except BaseException:
            self._waiting.remove(waiter)
            self._wake()  # it may have been its turn
            raise
        self._waiting.remove(waiter)
        return waiter.wanted

    def _wake(self) -> None:
        """Let the first of those who wait look again."""
        if self._waiting and not (self._clicks or self._warming):
            self._waiting[0].look.set()
