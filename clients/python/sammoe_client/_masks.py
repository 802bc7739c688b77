"""Packed masks: the layout is in the API guide, byte by byte."""

import math
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from sammoe_client._values import Indices
from sammoe_client.errors import UnexpectedAnswer

Mask = NDArray[np.bool_]

_HEADER = struct.Struct("<4sHH3I3I3IQ")


def unpack(content: bytes, shape: Indices) -> Mask:
    """A mask on its volume's grid.

    Parameters
    ----------
    shape
        Of the volume.

    Returns
    -------
    bool [i, j, k]

    Raises
    ------
    UnexpectedAnswer
        The bytes are no packed mask of such a volume.
    """
    try:
        magic, version, _, *numbers = _HEADER.unpack_from(content)
        whole, first, box = (tuple(numbers[at : at + 3]) for at in (0, 3, 6))
        if (magic, version, whole) != (b"SMSK", 1, shape):
            raise ValueError
        count = math.prod(box)
        size = (count + 7) // 8
        stream = zlib.decompressobj()
        bits = stream.decompress(content[_HEADER.size :], size + 1)
        if len(bits) != size or not stream.eof:
            raise ValueError
        inside = np.unpackbits(np.frombuffer(bits, np.uint8), count=count, bitorder="little")
        mask = np.zeros(shape, np.bool_)
        places = tuple(slice(start, start + n) for start, n in zip(first, box, strict=True))
        mask[places] = inside.reshape(box, order="F")
        if np.count_nonzero(inside) != numbers[9]:
            raise ValueError
    except (struct.error, zlib.error, ValueError):
        raise UnexpectedAnswer("The mask can not be read.") from None
    return mask
