"""Bounded pools of threads."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from sammoe.engine import WorkerPool
from sammoe.errors import EngineBusy, EngineError

PATIENCE = 10.0
"""Seconds after which a test that waits has failed."""


class Gate:
    """A call that says that it has started, then waits to be let through."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.opened = threading.Event()
        self.runs = 0

    def __call__(self) -> int:
        self.runs += 1
        self.started.set()
        assert self.opened.wait(PATIENCE)
        return 7


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool("test", workers=1, waiting=1)
    yield pool
    await pool.close()


async def started(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.started.wait, PATIENCE)


async def test_result_and_times(pool: WorkerPool) -> None:
    gate = Gate()
    first = asyncio.create_task(pool.run(gate))
    await started(gate)
    second = asyncio.create_task(pool.run(lambda: "b"))
    await asyncio.sleep(0.02)
    gate.opened.set()
    assert (await first).value == 7
    assert (await first).run_ms > 15
    waited = await second
    assert waited.value == "b"
    assert waited.queue_ms > 15


async def test_error_of_the_call_is_raised(pool: WorkerPool) -> None:
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await pool.run(fail)
    assert (await pool.run(lambda: 1)).value == 1


async def test_one_more_than_may_wait_is_refused(pool: WorkerPool) -> None:
    gate = Gate()
    running = [asyncio.create_task(pool.run(gate)) for _ in range(2)]
    await started(gate)
    with pytest.raises(EngineBusy):
        await pool.run(gate)
    gate.opened.set()
    await asyncio.gather(*running)
    assert (await pool.run(lambda: 1)).value == 1
    assert gate.runs == 2


async def test_cancelled_call_that_waits_is_never_run_and_leaves_its_place(
    pool: WorkerPool,
) -> None:
    gate, dropped = Gate(), Gate()
    running = asyncio.create_task(pool.run(gate))
    await started(gate)
    waiting = asyncio.create_task(pool.run(dropped))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    next_one = asyncio.create_task(pool.run(lambda: "next"))
    await asyncio.sleep(0)
    gate.opened.set()
    await running
    assert (await next_one).value == "next"
    assert dropped.runs == 0


async def test_closing_finishes_what_runs_and_refuses_the_rest() -> None:
    pool = WorkerPool("test", workers=1, waiting=1)
    gate = Gate()
    running = asyncio.create_task(pool.run(gate))
    await started(gate)
    waiting = asyncio.create_task(pool.run(lambda: 1))
    await asyncio.sleep(0)
    closing = asyncio.create_task(pool.close())
    with pytest.raises(EngineError, match="shutting down"):
        await waiting
    gate.opened.set()
    await closing
    assert (await running).value == 7
    for _ in range(3):  # Not EngineBusy: a refused call gives its place back.
        with pytest.raises(EngineError, match="shutting down"):
            await pool.run(lambda: 1)
