import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from sammoe.segmentation.turns import Turns


class Encodes:
    """What was begun, in order; each ends when it is told."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.begun: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def begin(self, name: str, how: AbstractAsyncContextManager[None]) -> None:
        self._ends[name] = asyncio.Event()

        async def encode() -> None:
            async with how:
                self.begun.append(name)
                await self._ends[name].wait()

        self._tasks[name] = asyncio.create_task(encode())
        await self._settle()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self._settle()

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        await self._settle()

    @staticmethod
    async def _settle() -> None:
        for _ in range(10):
            await asyncio.sleep(0)


async def test_warm_up_goes_one_at_a_time_in_order() -> None:
    encodes = Encodes()
    for name in "abc":
        await encodes.begin(name, encodes.turns.warm_up(name))
    assert encodes.begun == ["a"]
    await encodes.end("a")
    assert encodes.begun == ["a", "b"]
    await encodes.end("b")
    assert encodes.begun == ["a", "b", "c"]


@pytest.mark.fault("S27")
async def test_clicks_go_at_once_and_warm_up_waits_for_all_of_them() -> None:
    encodes = Encodes()
    await encodes.begin("warm", encodes.turns.warm_up("k"))
    for name in ("one", "two"):
        await encodes.begin(name, encodes.turns.click())
    await encodes.begin("later", encodes.turns.warm_up("l"))
    assert encodes.begun == ["warm", "one", "two"]
    await encodes.end("warm")
    await encodes.end("one")
    assert encodes.begun == ["warm", "one", "two"]
    await encodes.end("two")
    assert encodes.begun[-1] == "later"


async def test_a_window_that_somebody_clicks_on_goes_at_once() -> None:
    encodes = Encodes()
    await encodes.begin("first", encodes.turns.click())
    for name in "ab":
        await encodes.begin(name, encodes.turns.warm_up(name))
    encodes.turns.want("b")
    encodes.turns.want("nobody's")
    await Encodes._settle()
    assert encodes.begun == ["first", "b"]
    # It counts as a click's from then on.
    await encodes.end("first")
    assert encodes.begun == ["first", "b"]
    await encodes.end("b")
    assert encodes.begun == ["first", "b", "a"]


async def test_who_stops_waiting_holds_nobody_up() -> None:
    encodes = Encodes()
    for name in "abc":
        await encodes.begin(name, encodes.turns.warm_up(name))
    await encodes.cancel("b")
    await encodes.end("a")
    assert encodes.begun == ["a", "c"]
    await encodes.cancel("c")
    await encodes.begin("d", encodes.turns.warm_up("d"))
    assert encodes.begun[-1] == "d"
