"""The compact form of a mask: cut to its bounding box, one bit a voxel, deflated.

Byte layout; integers are little-endian, triples are in source axis order ``i, j, k``:

====== ===== ==========================================================================
offset bytes content
====== ===== ==========================================================================
0      4     magic, ASCII ``SMSK``
4      2     version, uint16, 1
6      2     flags, uint16, 0
8      12    shape of the whole volume, three uint32
20     12    offset of the box in it: index of the box's first voxel, three uint32
32     12    shape of the box, three uint32; all 0 (as the offset) if the mask is empty
44     8     number of voxels in the mask, uint64
52     ...   zlib stream (RFC 1950; ``deflate`` in browsers' DecompressionStream)
====== ===== ==========================================================================

The stream inflates to ``ceil(a * b * c / 8)`` bytes for a box of shape (a, b, c). Voxel (i, j, k)
of the box is bit ``n = i + a * (j + b * k)``: ``byte[n >> 3] >> (n & 7) & 1``; i runs fastest, as
in NIfTI and NRRD data, and the lowest bit comes first. Unused bits of the last byte are 0.
"""

import struct
import zlib
from typing import Final

import numpy as np
from isal import isal_zlib

from sammoe.errors import FileTruncated, HeaderInvalid, TooLarge, UnsupportedFormat
from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import Pasted

MAGIC: Final = b"SMSK"
VERSION: Final = 1
MAX_VOXELS: Final = 2**31
"""Largest box that `unpack` inflates."""

_HEADER: Final = struct.Struct("<4sHH3I3I3IQ")
# A mask deflates to much the same size at every level, and a click waits for this.
_LEVEL: Final = 1


def pack(pasted: Pasted, geometry: Geometry) -> bytes:
    """Write a mask in the layout above; equal masks give equal bytes, on one kind of machine."""
    mask = pasted.mask
    place = (*geometry.shape, *pasted.offset, *mask.shape)
    header = _HEADER.pack(MAGIC, VERSION, 0, *place, pasted.voxels)
    bits = np.packbits(mask.ravel(order="F"), bitorder="little")
    return header + isal_zlib.compress(bits.data, _LEVEL)


def unpack(data: bytes) -> tuple[Pasted, tuple[int, int, int]]:
    """Read a packed mask.

    Returns
    -------
    The mask, and the shape of the whole volume.

    Raises
    ------
    UnsupportedFormat
        Not a packed mask, or of a newer version.
    FileTruncated
        The bytes end early or do not inflate.
    HeaderInvalid
        The box leaves the volume, or the stream is not what the header says.
    TooLarge
        The box has more than ``MAX_VOXELS`` voxels.
    """
    if data[:4] != MAGIC:
        raise UnsupportedFormat("These bytes are no packed mask: they do not begin with SMSK.")
    if len(data) < _HEADER.size:
        raise FileTruncated("The packed mask ends within its header.")
    _, version, flags, *numbers = _HEADER.unpack_from(data)
    if version != VERSION or flags:
        raise UnsupportedFormat(f"A packed mask of version {version}, flags {flags} is too new.")
    shape, offset, box = numbers[0:3], numbers[3:6], numbers[6:9]
    if any(o + n > whole for o, n, whole in zip(offset, box, shape, strict=True)):
        raise HeaderInvalid(f"The packed mask's box {box} at {offset} leaves the volume {shape}.")
    voxels = box[0] * box[1] * box[2]
    if voxels > MAX_VOXELS:
        raise TooLarge(f"The packed mask's box has {voxels} voxels; at most {MAX_VOXELS} are read.")
    bits = _inflate(memoryview(data)[_HEADER.size :], -(-voxels // 8))
    flat = np.unpackbits(np.frombuffer(bits, np.uint8), count=voxels, bitorder="little")
    if int(np.count_nonzero(flat)) != numbers[9]:
        raise HeaderInvalid("The packed mask holds another number of voxels than its header says.")
    mask = flat.view(np.bool_).reshape(box, order="F")
    return Pasted(mask, (offset[0], offset[1], offset[2])), (shape[0], shape[1], shape[2])


def _inflate(stream: memoryview, size: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        # One byte more than expected is enough to see a stream that is too long.
        bits = inflater.decompress(stream, size + 1)
    except zlib.error as error:
        raise FileTruncated("The packed mask's stream is broken.") from error
    if len(bits) > size or (len(bits) == size and inflater.unused_data):
        raise HeaderInvalid("The packed mask's stream is longer than its header says.")
    if len(bits) < size or not inflater.eof:
        raise FileTruncated("The packed mask's stream ends early.")
    return bits
