"""What the store needs of the place where its files lie: a local folder, or a bucket of objects.

Paths are relative, of names joined by ``/``. A file is written as a whole or not at all, and what a
call has written every process sees from then on. There is no renaming, and folders are no things
of their own: they are there while files are in them. What must happen once among many processes is
a :meth:`Files.create` or a :meth:`Files.replace`.
"""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sammoe.errors import StoreUnavailable

Piece = bytes | memoryview

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Entry:
    """A file in a list: its path, its size in bytes, and when it was written (UTC)."""

    path: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Versioned:
    """A file's content, and what tells it from every other content of that file."""

    content: bytes
    version: str


class Files(Protocol):
    """Files by path. Blocking, from any thread, within a bounded time.

    Raises
    ------
    FileNotFoundError
        From every method that reads: there is no such file.
    OSError, StoreUnavailable
        From every method: the disk or the server failed. A write may have happened all the same;
        `storage_errors` makes the one into the other.
    """

    @property
    def temporary_folder(self) -> Path:
        """This process's local folder for unfinished files; emptied after a crash."""
        ...

    def read(self, path: str) -> bytes:
        """Return a file's content."""
        ...

    def read_start(self, path: str, size: int) -> bytes:
        """Return up to ``size`` bytes from a file's beginning."""
        ...

    def read_versioned(self, path: str) -> Versioned:
        """Return a file's content with its version, for `replace`."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        ...

    def local(self, path: str) -> Path:
        """Return a local file of that content, to be opened at once and not to be changed."""
        ...

    def forget(self, path: str) -> None:
        """Drop what `local` keeps, if that is a copy."""
        ...

    def write(self, path: str, pieces: Iterable[Piece]) -> None:
        """Write a file, new or in place of the old one."""
        ...

    def adopt(self, path: str, file: Path) -> None:
        """Write a new file that lies in `temporary_folder`, and is gone from there afterwards."""
        ...

    def create(self, path: str, pieces: Iterable[Piece]) -> bool:
        """Write a new file; return whether this content is there now.

        False: somebody was faster with another content, which stays. Of many processes with
        different contents, one gets True.
        """
        ...

    def replace(self, path: str, pieces: Iterable[Piece], version: str) -> bool:
        """Write a file in place of that version; return whether this content is there now.

        False: the file is gone, or has another version, and stays as it is.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        ...

    def remove_all(self, folder: str) -> None:
        """Remove all files in a folder and below it."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the names of files and folders in a folder, in no order; none if it is missing."""
        ...

    def entries(self, folder: str) -> Iterator[Entry]:
        """List all files in a folder and below it, in no order."""
        ...

    def check(self) -> None:
        """Write something, to see whether it can be done."""
        ...

    def close(self) -> None:
        """Remove this process's unfinished files."""
        ...


@contextmanager
def undone(files: Files, path: str) -> Iterator[None]:
    """Remove a new file where the store fails, for it may be there: as well as that can be done.

    For what gets a name that nobody knows before it is kept.
    """
    try:
        yield
    except (OSError, StoreUnavailable):
        with suppress(OSError, StoreUnavailable):
            files.remove(path)
        raise


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn an ``OSError`` into `StoreUnavailable`, which says whether the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            detail = "The store's disk is full: nothing was kept. Free space and try again."
        else:
            detail = f"The store failed: {error.strerror or 'input or output error'}."
        raise StoreUnavailable(detail) from error
