"""One at a time may write into a bundle's folder, or a run's; who reads it need not ask."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from sammoe.errors import BundleInvalid, Conflict

LOCK_NAME: Final = ".lock"
"""File in the folder whose lock its writer holds; it is there for as long as that."""

WAIT_SECONDS: Final = 10.0
"""How long to wait for another writer: by then what was decided on has changed, most likely."""

_POLL_SECONDS: Final = 0.1

_NO_LOCKS: Final = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}

_handles: set[int] = set()
"""That hold locks of this process."""


def _let_go() -> None:
    """A lock lasts as long as any process has its handle, those that load data among them."""
    while _handles:
        os.close(_handles.pop())


os.register_at_fork(after_in_child=_let_go)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only one that writes into ``folder``, among threads, processes and, where the file
    system tells them, machines.

    Raises
    ------
    BundleInvalid
        There is no such folder.
    Conflict
        Somebody else went on writing for `WAIT_SECONDS`.
    OSError
        The folder can not be written, or its file system has no locks.
    """
    if not folder.is_dir():
        raise BundleInvalid(f"{folder} is no folder: there is no bundle in it")
    refusal = (
        f"Somebody else has been writing into {folder} for {WAIT_SECONDS:g} s: try again when that"
        " is done."
    )
    with _held(folder, WAIT_SECONDS, refusal):
        yield


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Be the only command that writes into a run's folder, which is made where it is missing.

    Raises
    ------
    Conflict
        Another one does.
    OSError
        The folder can not be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    refusal = (
        f"another command is writing into {folder}: wait until it is done, or give another --out"
    )
    with ExitStack() as lock:
        try:
            lock.enter_context(_held(folder, 0.0, refusal))
        except OSError as error:
            # Clusters' file systems may have no locks: runs were made there before there was one.
            if error.errno not in _NO_LOCKS:
                raise
            (folder / LOCK_NAME).unlink(missing_ok=True)
        yield


@contextmanager
def _held(folder: Path, seconds: float, refusal: str) -> Iterator[None]:
    end = time.monotonic() + seconds
    while (handle := _take(folder / LOCK_NAME)) is None:
        if time.monotonic() >= end:
            raise Conflict(refusal)
        time.sleep(_POLL_SECONDS)
    _handles.add(handle)
    try:
        yield
    finally:
        try:
            (folder / LOCK_NAME).unlink(missing_ok=True)
        finally:
            _handles.remove(handle)
            os.close(handle)


def contents(folder: Path) -> list[Path]:
    """What a folder holds beside the lock; nothing where there is no such folder."""
    if not folder.exists():
        return []
    return [path for path in folder.iterdir() if path.name != LOCK_NAME]


def _take(path: Path) -> int | None:
    """A handle that holds the lock; None where somebody else has it."""
    # Opened for writing: NFS locks nothing else exclusively.
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever had it may have removed the file since it was opened: then it locks nobody out.
        if os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        os.close(handle)
        raise OSError(error.errno, error.strerror, str(path)) from error
    os.close(handle)
    return None
