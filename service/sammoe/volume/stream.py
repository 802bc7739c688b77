"""Read a file front to back, raw or gzip, and never trust it for more than it can hold.

A reader first asks `Stream.at_most` whether the voxels that a header declares can be there at
all, and only then allocates; a lie costs nothing. Nothing past what was asked for is inflated,
but for the slack of `Stream.finish`.
"""

import io
import os
import zlib
from typing import BinaryIO, Final, Protocol

from sammoe.errors import FileTruncated, TooLarge

_CHUNK: Final = 1 << 18
_FIRST_BYTES: Final = 1 << 10
"""Of a member that are inflated at once, and four times as many each time after that: what follows
a member's end is copied."""
_SMALL_MEMBER: Final = 1 << 10
_MOST_SMALL: Final = 1000
"""Members of less than `_SMALL_MEMBER` bytes: some writers end with an empty one, or are appended
to; but thousands would take a worker for minutes."""
_GZIP_MAGIC: Final = b"\x1f\x8b"
# Deflate codes 258 bytes in 2 bits at best.
_DEFLATE_MAX_RATIO: Final = 1032
_SLACK: Final = 1 << 20
"""Bytes that may follow the voxels: writers pad, but nobody pads by more than a megabyte."""


class Stream(Protocol):
    """Bytes that come one after the other."""

    def at_most(self) -> int:
        """Upper bound on the number of bytes still to come."""
        ...

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes; fewer only at the end.

        Raises
        ------
        FileTruncated
            The compression is broken, or stops in the middle.
        """
        ...


class RawStream:
    """The rest of a file as it is."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = _left(file)

    def at_most(self) -> int:
        """Return the number of bytes left."""
        return self._left

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes; fewer only at the end."""
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data


class GzipStream:
    """What the rest of a gzip file inflates to; members are joined, their checksums verified."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = _left(file)
        self._pending = b""
        self._at = 0
        self._small = 0
        self._begin()

    def at_most(self) -> int:
        """Return what deflate could make of the compressed bytes left, at best."""
        return (self._left + len(self._pending) - self._at) * _DEFLATE_MAX_RATIO

    def read(self, size: int) -> bytes:
        """Return up to ``size`` inflated bytes; fewer only at the end."""
        parts = []
        while size > 0 and self._inflater is not None:
            part = self._inflate(self._inflater, size)
            if part:
                parts.append(part)
                size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _begin(self) -> None:
        self._inflater: zlib._Decompress | None = zlib.decompressobj(wbits=31)
        self._step = _FIRST_BYTES
        self._made = 0

    def _inflate(self, inflater: "zlib._Decompress", size: int) -> bytes:
        """Up to ``size`` more bytes of a member, which it may end."""
        if self._at == len(self._pending):
            self._pending, self._at = self._more(), 0
        given = memoryview(self._pending)[self._at : self._at + self._step]
        try:
            part = inflater.decompress(given, size)
        except zlib.error as error:
            raise FileTruncated("The file's gzip compression is broken.") from error
        if not part and not given and not inflater.eof:
            raise FileTruncated("The file ends in the middle of its gzip compression.")
        left = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        self._at += len(given) - len(left)
        self._step = min(4 * self._step, _CHUNK)
        self._made += len(part)
        if inflater.eof:
            self._next_member()
        return part

    def _more(self) -> bytes:
        data = self._file.read(min(_CHUNK, self._left))
        self._left -= len(data)
        return data

    def _next_member(self) -> None:
        """Go on with the member that follows; gzip's own rule: what is no member is padding."""
        self._small += self._made < _SMALL_MEMBER
        if self._small > _MOST_SMALL:
            raise FileTruncated(
                "The file's gzip compression is in thousands of tiny pieces; compress it again."
            )
        if len(self._pending) - self._at < len(_GZIP_MAGIC):
            self._pending, self._at = self._pending[self._at :] + self._more(), 0
        if self._pending.startswith(_GZIP_MAGIC, self._at):
            self._begin()
        else:
            self._inflater = None


def _left(file: BinaryIO) -> int:
    here = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(here)
    return end - here


def is_gzip(file: BinaryIO) -> bool:
    """Tell by its first bytes whether the rest of a file is gzip; does not move on."""
    here = file.tell()
    magic = file.read(len(_GZIP_MAGIC))
    file.seek(here)
    return magic == _GZIP_MAGIC


def open_stream(file: BinaryIO) -> Stream:
    """Return the rest of a file, inflated if it is gzip."""
    return GzipStream(file) if is_gzip(file) else RawStream(file)


def read_exactly(stream: Stream, size: int) -> bytearray:
    """Return the next ``size`` bytes, and see that the stream then ends.

    Raises
    ------
    FileTruncated
        There are fewer, or the compression is broken; found before ``size`` bytes are allocated
        wherever the file's length already gives it away.
    TooLarge
        More than a megabyte follows: the header does not tell of it.
    """
    if stream.at_most() < size:
        raise FileTruncated(
            f"The file is too short for the {size} bytes of voxels that its header declares; "
            "it was cut off, or its header is wrong."
        )
    data = bytearray(size)
    view = memoryview(data)
    done = 0
    while done < size:
        part = stream.read(min(_CHUNK, size - done))
        if not part:
            raise FileTruncated(
                f"The file ends after {done} of the {size} bytes of voxels that its header "
                "declares; send it again."
            )
        view[done : done + len(part)] = part
        done += len(part)
    if len(stream.read(_SLACK + 1)) > _SLACK:
        raise TooLarge("The file goes on after the last voxel that its header declares.")
    return data


def as_file(data: bytes) -> BinaryIO:
    """Return bytes as a file."""
    return io.BytesIO(data)
