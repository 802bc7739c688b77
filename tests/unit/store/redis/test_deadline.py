"""A limit for others' slowness."""

import asyncio
import time

import pytest

from sammoe.store.redis.deadline import within


async def forever(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        ended.append("ended")


async def test_what_is_in_time_is_returned() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 7

    assert await within(60.0, answer()) == 7


async def test_what_is_raised_is_raised() -> None:
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await within(60.0, fail())


@pytest.mark.fault("F03")
async def test_what_is_late_has_ended_before_the_error() -> None:
    ended: list[str] = []
    with pytest.raises(TimeoutError):
        await within(0.01, forever(ended))
    assert ended == ["ended"]


@pytest.mark.fault("F07")
async def test_cancelled_work_has_ended_too() -> None:
    ended: list[str] = []
    task = asyncio.create_task(within(60.0, forever(ended)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["ended"]


async def test_a_standstill_of_this_process_is_not_the_other_s_slowness() -> None:
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def wait() -> str:
        return await answer

    task = asyncio.create_task(within(0.05, wait()))
    await asyncio.sleep(0)
    # Ten times the limit; the answer comes only when the loop goes on.
    time.sleep(0.5)
    await asyncio.sleep(0.001)
    answer.set_result("here")
    assert await task == "here"
