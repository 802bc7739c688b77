"""Bounded pools of threads: the event loop never blocks, and a queue never grows without end."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from sammoe.errors import EngineBusy, EngineError

T = TypeVar("T")

_CLOSED = "The service is shutting down."


@dataclass(frozen=True)
class Ran(Generic[T]):
    """What a call returned, how long it waited for a thread and how long it ran, in ms."""

    value: T
    queue_ms: float
    run_ms: float


class WorkerPool:
    """Threads that run blocking calls for coroutines.

    Parameters
    ----------
    name
        For the threads' names and for messages.
    workers
        Number of threads, at least 1.
    waiting
        How many calls may wait for a thread; one more is refused.
    """

    def __init__(self, name: str, *, workers: int, waiting: int) -> None:
        self._name = name
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix=f"sammoe-{name}")
        self._places = threading.BoundedSemaphore(workers + waiting)

    async def run(self, call: Callable[[], T]) -> Ran[T]:
        """Run ``call`` in a thread and return its result; what it raises is raised here.

        If the caller is cancelled, a call that still waits is dropped; one that runs is finished
        and its result dropped.

        Raises
        ------
        EngineBusy
            All threads are busy and all waiting places taken.
        EngineError
            The pool is closed.
        """
        if not self._places.acquire(blocking=False):
            raise EngineBusy(f"Too many requests wait for the {self._name} workers; try again.")
        try:
            future = self._executor.submit(_timed, call, time.perf_counter())
        except RuntimeError:
            self._places.release()
            raise EngineError(_CLOSED) from None
        future.add_done_callback(self._leave)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if future.cancelled() and not (task and task.cancelling()):
                # Not this caller was cancelled, but all who waited, by `close`.
                raise EngineError(_CLOSED) from None
            raise

    async def close(self) -> None:
        """Finish the calls that run, cancel those that wait, refuse new ones."""
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)

    def _leave(self, _: Future[Ran[T]]) -> None:
        self._places.release()


def _timed(call: Callable[[], T], submitted: float) -> Ran[T]:
    started = time.perf_counter()
    value = call()
    ended = time.perf_counter()
    return Ran(value, 1000 * (started - submitted), 1000 * (ended - started))
