"""Processes that share a command's work, and end with it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, parent_process
from multiprocessing.context import SpawnContext, SpawnProcess


@contextmanager
def work_force(
    processes: int, begin: Callable[..., None] | None = None, *args: object
) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes, each of which calls ``begin(*args)`` first, if there is one.

    They are spawned: torch's threads would not be there in forked ones. Where the command is
    killed, interrupted or fails they end, too; the pool's own would wait for work for ever, or be
    waited for.
    """
    pool = ProcessPoolExecutor(processes, _Deaf(), initializer=_start, initargs=(begin, args))
    with pool:
        try:
            yield pool
        except BaseException:  # also where whom this pool works for was interrupted: GeneratorExit
            for worker in active_children():
                if isinstance(worker, _Worker):
                    worker.terminate()
            raise


class _Worker(SpawnProcess):
    """Does not hear Ctrl-C, which goes to all processes: the command alone answers it."""

    def start(self) -> None:
        # From its first moment on, for it is importing for seconds: the mask is inherited.
        heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, heard)


class _Deaf(SpawnContext):
    Process = _Worker


def _start(begin: Callable[..., None] | None, args: tuple[object, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if begin is not None:
        begin(*args)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
