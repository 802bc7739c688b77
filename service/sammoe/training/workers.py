"""Processes that share a command's work, and end with it."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process


def work_force(
    processes: int, begin: Callable[..., None] | None = None, *args: object
) -> ProcessPoolExecutor:
    """A pool of processes, each of which calls ``begin(*args)`` first, if there is one.

    They are spawned: torch's threads would not be there in forked ones. Where the command is
    killed they end, too; the pool's own would wait for work for ever.
    """
    spawn = get_context("spawn")
    return ProcessPoolExecutor(processes, spawn, initializer=_start, initargs=(begin, args))


def _start(begin: Callable[..., None] | None, args: tuple[object, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if begin is not None:
        begin(*args)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
