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
from pathlib import Path

from sammoe.errors import StoreUnavailable
from sammoe.store.files import Piece

_MAGIC = b"SAMMOE\x00\x01"
_PREFIX = struct.Struct("<8sIIQI")


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


def read_header(path: Path) -> bytes:
    """Read the header alone.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    StoreUnavailable
        The file is damaged.
    """
    with path.open("rb") as stream:
        prefix = stream.read(_PREFIX.size)
        length = _unpack(prefix)[0]
        return _checked_header(prefix, stream.read(length))


def read_frame(path: Path) -> tuple[bytes, memoryview]:
    """Read header and payload; raises as `read_header`."""
    content = path.read_bytes()
    prefix, rest = content[: _PREFIX.size], memoryview(content)[_PREFIX.size :]
    header_length, _, length, check = _unpack(prefix)
    header = _checked_header(prefix, bytes(rest[:header_length]))
    payload = rest[header_length:]
    if payload.nbytes != length or zlib.crc32(payload) != check:
        raise damaged()
    return header, payload


def damaged() -> StoreUnavailable:
    """Return the error for a file that is there and can not be understood."""
    return StoreUnavailable("A stored record is damaged: restore the store's folder from a backup.")


def _unpack(prefix: bytes) -> tuple[int, int, int, int]:
    if len(prefix) < _PREFIX.size or not prefix.startswith(_MAGIC):
        raise damaged()
    _, header_length, header_check, length, check = _PREFIX.unpack(prefix)
    return header_length, header_check, length, check


def _checked_header(prefix: bytes, header: bytes) -> bytes:
    length, check, _, _ = _unpack(prefix)
    if len(header) != length or zlib.crc32(header) != check:
        raise damaged()
    return header
