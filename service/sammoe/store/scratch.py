"""Files on a local disk that are there as a whole or not at all, whenever the process dies.

A file or folder is made under ``tmp``, flushed to the disk, then renamed to its place, and the
rename is flushed too. Under ``tmp`` each process has a folder of its own, held by a lock that the
operating system drops when the process ends, however it ends; folders whose lock is free are
removed at the next start.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sammoe.store.files import Piece


class Scratch:
    """This process's folder for what is not finished yet.

    Parameters
    ----------
    root
        The store's folder; the scratch folder lies in ``root/tmp``, on the same file system.

    Attributes
    ----------
    folder
        The scratch folder.
    """

    def __init__(self, root: Path) -> None:
        parent = root / "tmp"
        parent.mkdir(parents=True, exist_ok=True)
        # One at a time: nobody shall sweep a folder between its making and its locking.
        with locked(parent / "lock"):
            for folder in parent.iterdir():
                if folder.is_dir():
                    _remove_if_left(folder)
            self.folder = parent / secrets.token_hex(8)
            self.folder.mkdir()
            self._lock = _lock(self.folder / "lock", fcntl.LOCK_EX)

    def path(self) -> Path:
        """Return a path for a new file or folder."""
        return self.folder / secrets.token_hex(8)

    @contextmanager
    def file(self) -> Iterator[Path]:
        """Lend a path for a temporary file, removed at the end whatever happens."""
        path = self.path()
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def discard(self, folder: Path) -> None:
        """Remove a folder with all in it; at once for every reader, even if this is cut short.

        Raises
        ------
        FileNotFoundError
            There is no such folder.
        """
        doomed = self.path()
        os.rename(folder, doomed)
        flush_folder(folder.parent)
        shutil.rmtree(doomed, ignore_errors=True)

    def close(self) -> None:
        """Remove the folder and free its lock."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


def write_flushed(path: Path, pieces: Iterable[Piece]) -> None:
    """Write a new file and flush its content to the disk."""
    with path.open("xb") as stream:
        for piece in pieces:
            stream.write(piece)
        stream.flush()
        os.fsync(stream.fileno())


def flush(path: Path) -> None:
    """Flush a file's content to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that a rename in it outlives a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents where missing, each flushed to the disk."""
    if not folder.is_dir():
        make_folder(folder.parent)
        # Not exist_ok: that looks once more, and fails where the folder has gone again by then.
        with suppress(FileExistsError):
            folder.mkdir()
        flush_folder(folder.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` against other threads and processes; waits for it."""
    handle = _lock(path, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(handle)


def _lock(path: Path, how: int) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, how)
    except OSError:
        os.close(handle)
        raise
    return handle


def _remove_if_left(folder: Path) -> None:
    """Remove the scratch folder of a process that is gone."""
    with suppress(BlockingIOError, FileNotFoundError):
        handle = _lock(folder / "lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)
