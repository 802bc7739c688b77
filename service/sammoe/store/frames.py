"""One file of a JSON header and binary data, whose damage is noticed.

Byte by byte, numbers little-endian:

====== ===== ==========================================================================
offset bytes content
====== ===== ==========================================================================
0      8     ``SAMMOE``, 0, 1 (the form's version)
8      4     length H of the header
12     4     CRC-32 of the header
16     8     length P of the payload
24     4     CRC-32 of the payload
28     H     header: a JSON object in UTF-8
28+H   P     payload
====== ===== ==========================================================================
"""

import struct
import zlib
from collections.abc import Sequence

from sammoe.errors import StoreUnavailable
from sammoe.store.files import Files, Piece

_MAGIC = b"SAMMOE\x00\x01"
_PREFIX = struct.Struct("<8sIIQI")
_START_BYTES = 16 << 10
"""Read first; few headers are longer."""


def frame(header: bytes, payload: Sequence[Piece] = ()) -> list[Piece]:
    """Return the pieces of a file that holds ``header`` and the joined ``payload``.

    A memory view (an array's ``data``) must be C-contiguous; it is not copied.
    """
    views = [memoryview(piece).cast("B") for piece in payload]
    check = 0
    for view in views:
        check = zlib.crc32(view, check)
    length = sum(view.nbytes for view in views)
    prefix = _PREFIX.pack(_MAGIC, len(header), zlib.crc32(header), length, check)
    return [prefix, header, *views]


def read_header(files: Files, path: str) -> bytes:
    """Read the header alone.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    StoreUnavailable
        The file is damaged, or the store failed.
    """
    start = files.read_start(path, _START_BYTES)
    end = _PREFIX.size + _unpack(start)[0]
    if end > _START_BYTES:
        start = files.read_start(path, end)
    return _checked_header(start, start[_PREFIX.size : end])


def read_frame(files: Files, path: str) -> tuple[bytes, memoryview]:
    """Read header and payload; raises as `read_header`."""
    return parse_frame(files.read(path))


def parse_frame(text: bytes) -> tuple[bytes, memoryview]:
    """Header and payload of a file's content.

    Raises
    ------
    StoreUnavailable
        It is damaged.
    """
    content = memoryview(text)
    header_length, _, length, check = _unpack(content)
    end = _PREFIX.size + header_length
    header = _checked_header(content, bytes(content[_PREFIX.size : end]))
    payload = content[end:]
    if payload.nbytes != length or zlib.crc32(payload) != check:
        raise damaged()
    return header, payload


def damaged() -> StoreUnavailable:
    """Return the error for a file that is there and can not be understood."""
    return StoreUnavailable(
        "A stored record is damaged: restore the store from a backup.", record=True
    )


def _unpack(start: bytes | memoryview) -> tuple[int, int, int, int]:
    if len(start) < _PREFIX.size or start[: len(_MAGIC)] != _MAGIC:
        raise damaged()
    _, header_length, header_check, length, check = _PREFIX.unpack_from(start)
    return header_length, header_check, length, check


def _checked_header(start: bytes | memoryview, header: bytes) -> bytes:
    length, check, _, _ = _unpack(start)
    if len(header) != length or zlib.crc32(header) != check:
        raise damaged()
    return header
