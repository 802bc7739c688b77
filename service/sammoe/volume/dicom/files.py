"""Which files a scan is made of: one, those of a folder, or those of a zip archive."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from sammoe.errors import TooLarge
from sammoe.volume.dicom.archive import MAGIC, unpack_archive
from sammoe.volume.limits import MAX_SIDE, ReadLimits

_PREAMBLE: Final = 128
_PREFIX: Final = b"DICM"
_START: Final = _PREAMBLE + len(_PREFIX)
# Group 2 or 8, little-endian, an element of its first: what files without a preamble begin with.
_BARE: Final = tuple(
    bytes((group, 0, element, 0)) for group in (2, 8) for element in (0, 1, 2, 5, 8, 16)
)
_MAX_FILES: Final = 2 * MAX_SIDE


def is_dicom(start: bytes) -> bool:
    """Tell by its first 132 bytes whether a file is DICOM, with or without a preamble."""
    return start[_PREAMBLE:_START] == _PREFIX or start.startswith(_BARE)


def is_archive(start: bytes) -> bool:
    """Tell by its first bytes whether a file is a zip archive."""
    return start.startswith(MAGIC)


def starts_as_dicom(path: Path) -> bool:
    """Look into a file; see `is_dicom`."""
    with path.open("rb") as file:
        return is_dicom(file.read(_START))


@contextmanager
def files_of(path: Path, limits: ReadLimits, scratch: Path | None) -> Iterator[list[Path]]:
    """The files of a scan, there as long as the context lasts.

    Parameters
    ----------
    path
        A file, a folder (searched through, links left alone), or a zip archive.
    scratch
        Folder to unpack an archive in; None: the system's for temporary files.

    Raises
    ------
    ArchiveInvalid, TooLarge
        See `unpack_archive`; or the folder has too many files.
    """
    if path.is_dir():
        yield files_in(path)
        return
    with path.open("rb") as file:
        start = file.read(_START)
    if not is_archive(start):
        yield [path]
        return
    with TemporaryDirectory(prefix="sammoe-", dir=scratch) as folder:
        yield unpack_archive(path, Path(folder), limits)


def files_in(folder: Path) -> list[Path]:
    """The files of a folder and of those in it, by name; links are left alone.

    Raises
    ------
    TooLarge
        There are too many.
    """
    files: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        found = (Path(parent, name) for name in sorted(names))
        files += [path for path in found if path.is_file() and not path.is_symlink()]
        if len(files) > _MAX_FILES:
            raise TooLarge(f"The folder has more than {_MAX_FILES} files.")
    return files
