"""Bounded pools of threads: the event loop never blocks, and a queue never grows without end."""

import asyncio
import contextvars
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


@dataclass(frozen=True)
class Load:
    """How busy a queue is.

    Attributes
    ----------
    running, waiting
        Calls at work, and calls that wait for a worker.
    places
        How many there may be of both together; one more is refused.
    """

    running: int
    waiting: int
    places: int


class WorkerPool:
    """Threads that run blocking calls for coroutines. They inherit the caller's context.

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
        self._workers = workers
        self._places = workers + waiting
        self._taken = 0
        self._lock = threading.Lock()

    @property
    def load(self) -> Load:
        """How busy it is now."""
        taken = self._taken
        running = min(taken, self._workers)
        return Load(running, taken - running, self._places)

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
        self._enter()
        context = contextvars.copy_context()
        try:
            future = self._executor.submit(context.run, _timed, call, time.perf_counter())
        except RuntimeError:
            self._leave()
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

    def _enter(self) -> None:
        with self._lock:
            if self._taken == self._places:
                raise EngineBusy(f"Too many requests wait for the {self._name} workers; try again.")
            self._taken += 1

    def _leave(self, _: Future[Ran[T]] | None = None) -> None:
        with self._lock:
            self._taken -= 1


def _timed(call: Callable[[], T], submitted: float) -> Ran[T]:
    started = time.perf_counter()
    value = call()
    ended = time.perf_counter()
    return Ran(value, 1000 * (started - submitted), 1000 * (ended - started))
