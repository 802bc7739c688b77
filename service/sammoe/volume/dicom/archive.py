"""Zip archives of scans, unpacked with no trust in anything that they say.

Nothing is written under a name from the archive, so no name can lead anywhere; and yet names that
try to are refused, as are links, encrypted entries, archives in archives, and everything that
would inflate to more than the reader's limits allow.
"""

import errno
import shutil
import stat
import struct
import zlib
from pathlib import Path, PurePath, PurePosixPath
from typing import BinaryIO, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from sammoe.errors import ArchiveInvalid, TooLarge
from sammoe.volume.limits import MAX_SIDE, ReadLimits

MAGIC: Final = b"PK\x03\x04"

_COPY_BYTES: Final = 1 << 18
_OVERHEAD: Final = 1 << 28
"""What headers may add to the bytes of voxels in all files together."""
_MAX_ENTRIES: Final = 2 * MAX_SIDE
_MAX_RATIO: Final = 1100
"""Deflate can not do better than 1032."""
_DAMAGE: Final = (
    BadZipFile,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What `zipfile` answers damage with."""
_ENCRYPTED: Final = 0x1
_UNIX: Final = 3


def unpack_archive(archive: Path, folder: Path, limits: ReadLimits) -> list[Path]:
    """Unpack a zip archive.

    Parameters
    ----------
    archive
        The file.
    folder
        Where to put its files, under numbers.
    limits
        Of the volume that they make.

    Returns
    -------
    The files in the archive's order; of their names the suffix ``.dcm`` alone is kept, and not that
    of macOS' own.

    Raises
    ------
    ArchiveInvalid
        It is damaged, or holds links, paths that lead out, encrypted entries or archives.
    TooLarge
        It has too many entries, or they inflate to too many bytes.
    """
    try:
        with ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            if len(entries) > _MAX_ENTRIES:
                raise TooLarge(f"The archive has more than {_MAX_ENTRIES} files.")
            for entry in entries:
                _check(entry)
            budget = limits.max_bytes + _OVERHEAD
            declared = sum(entry.file_size for entry in entries)
            if declared > budget:
                raise TooLarge(f"The archive would inflate to {declared} bytes; {budget} are read.")
            files = []
            for number, entry in enumerate(entries):
                path = folder / f"{number}{_suffix(entry.filename)}"
                with opened.open(entry) as packed, path.open("xb") as file:
                    shutil.copyfileobj(packed, file, _COPY_BYTES)
                with path.open("rb") as file:
                    _check_content(file)
                files.append(path)
            return files
    except _DAMAGE as error:
        raise _damaged() from error
    except OSError as error:
        # A place before the file's beginning; any other is the disk's fault.
        if error.errno != errno.EINVAL:
            raise
        raise _damaged() from error


def is_of_macos(name: PurePath) -> bool:
    """Whether a file is what macOS puts beside another of that name, about its icon and such."""
    return name.name.startswith("._") or "__MACOSX" in name.parts


def _suffix(name: str) -> str:
    kept = name.lower().endswith(".dcm") and not is_of_macos(PurePosixPath(name))
    return ".dcm" if kept else ""


def _damaged() -> ArchiveInvalid:
    return ArchiveInvalid("The zip archive is damaged; pack and send it again.")


def _check(entry: ZipInfo) -> None:
    parts = entry.filename.replace("\\", "/").split("/")
    if ".." in parts or not parts[0] or ":" in parts[0]:
        raise ArchiveInvalid("The archive has a file whose path leads out of it.")
    mode = entry.external_attr >> 16
    if entry.create_system == _UNIX and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise ArchiveInvalid("The archive holds a link or a device; pack the files themselves.")
    if entry.flag_bits & _ENCRYPTED:
        raise ArchiveInvalid("The archive is encrypted; send it without a password.")
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise ArchiveInvalid("The archive is compressed by another method than deflate.")
    if entry.file_size > entry.compress_size * _MAX_RATIO:
        raise TooLarge("The archive has a file that would inflate beyond what deflate can do.")


def _check_content(file: BinaryIO) -> None:
    if file.read(len(MAGIC)) == MAGIC:
        raise ArchiveInvalid("The archive holds another archive; pack the files themselves.")
