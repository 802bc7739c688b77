"""Arrays as the nnInteractive 2.x protocol sends them.

A packed array is ``NNIA``, version 1, a codec, the number of axes, the dtype's name, the shape in
int64, and chunks of at most 1 GiB, each a Blosc2 frame with its sizes before it; all little-endian.
Nothing that it declares is believed: sizes are checked against each other, the body and a limit
before a byte is allocated.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import blosc2
import numpy as np
from numpy.typing import NDArray

from sammoe.errors import MalformedBody, TooLarge

MAGIC: Final = b"NNIA"
VERSION: Final = 1
CHUNK_BYTES: Final = 1 << 30
DTYPES: Final = (
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float16", "float32", "float64"),
)

_ZSTD: Final = 1
_CODECS: Final = {_ZSTD, 2}  # zstd and lz4
_HEADER: Final = struct.Struct("<4sBBBB")
_CHUNK: Final = struct.Struct("<QQ")
_COUNT: Final = struct.Struct("<I")
_MAX_AXES: Final = 4
_FRAME_HEADER: Final = 32
"""Bytes of the shortest Blosc2 frame."""

_THREADS: Final = 1
"""Of one call; others answer meanwhile."""


def pack(array: NDArray[Any]) -> bytes:
    """Pack an array of at most 1 GiB, any memory layout; masks compress best unfiltered."""
    values = np.ascontiguousarray(array)
    raw = values.view(np.uint8).reshape(-1)
    name = values.dtype.name.encode()
    parts = [
        _HEADER.pack(MAGIC, VERSION, _ZSTD, values.ndim, len(name)),
        name,
        np.asarray(values.shape, "<i8").tobytes(),
        _COUNT.pack(1 if raw.size else 0),
    ]
    if raw.size:
        frame = blosc2.compress2(
            raw,
            typesize=values.dtype.itemsize,
            codec=blosc2.Codec.ZSTD,
            clevel=1,
            filters=[blosc2.Filter.NOFILTER],
            nthreads=_THREADS,
        )
        parts += [_CHUNK.pack(raw.size, len(frame)), frame]
    return b"".join(parts)


@dataclass(frozen=True)
class Packed:
    """A packed array whose declarations agree with each other and with the body.

    Attributes
    ----------
    dtype, shape
        Of the array.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    _frames: tuple[memoryview, ...]
    _sizes: tuple[int, ...]

    def unpack(self) -> NDArray[Any]:
        """The array, C order.

        Raises
        ------
        MalformedBody
            A frame is damaged.
        """
        out = np.empty(math.prod(self.shape) * self.dtype.itemsize, np.uint8)
        start = 0
        for frame, size in zip(self._frames, self._sizes, strict=True):
            try:
                blosc2.decompress2(frame, dst=out[start : start + size], nthreads=_THREADS)
            except (RuntimeError, ValueError):
                raise _broken("a chunk can not be decompressed") from None
            start += size
        return out.view(self.dtype).reshape(self.shape)


def read_packed(body: memoryview, max_bytes: int) -> Packed:
    """Check a packed array's declarations; nothing is decompressed.

    Parameters
    ----------
    body
        The whole of it.
    max_bytes
        Largest array, bytes.

    Raises
    ------
    MalformedBody
        It is none, or contradicts itself.
    TooLarge
        The array would be larger than ``max_bytes``.
    """
    reader = _Reader(body)
    magic, version, codec, axes, length = _HEADER.unpack(reader.take(_HEADER.size))
    if magic != MAGIC or version != VERSION or codec not in _CODECS:
        raise _broken("it is no packed array of version 1 with zstd or lz4")
    name = bytes(reader.take(length)).decode("latin-1")
    if name not in DTYPES or not 1 <= axes <= _MAX_AXES:
        raise _broken("its dtype or its number of axes is not supported")
    dtype = np.dtype(name)
    shape = tuple(np.frombuffer(reader.take(8 * axes), "<i8").tolist())
    if min(shape) < 0:
        raise _broken("its shape has a negative side")
    total = math.prod(shape) * dtype.itemsize
    if total > max_bytes:
        raise TooLarge(f"An array may have at most {max_bytes} bytes; this one has {total}.")
    frames: list[memoryview] = []
    sizes: list[int] = []
    left = total
    for size, frame in _chunks(reader):
        if size == 0 or size % dtype.itemsize or size > left:
            raise _broken("its chunks do not fit its shape")
        frames.append(frame)
        sizes.append(size)
        left -= size
    if left or reader.left:
        raise _broken("its chunks do not fit its shape")
    return Packed(dtype, shape, tuple(frames), tuple(sizes))


def _chunks(reader: "_Reader") -> Iterator[tuple[int, memoryview]]:
    (count,) = _COUNT.unpack(reader.take(_COUNT.size))
    for _ in range(count):
        size, length = _CHUNK.unpack(reader.take(_CHUNK.size))
        frame = reader.take(length)
        if size > CHUNK_BYTES or length < _FRAME_HEADER:
            raise _broken("a chunk has an impossible size")
        try:
            declared, compressed, _ = blosc2.get_cbuffer_sizes(frame)
        except (RuntimeError, ValueError):
            raise _broken("a chunk is no Blosc2 frame") from None
        # Blosc2 does not always notice a target of the wrong size.
        if (declared, compressed) != (size, length):
            raise _broken("a chunk is not as long as it says")
        yield size, frame


class _Reader:
    """Takes bytes off the front."""

    def __init__(self, body: memoryview) -> None:
        self.left = body

    def take(self, count: int) -> memoryview:
        if count > len(self.left):
            raise _broken("it ends too early")
        taken, self.left = self.left[:count], self.left[count:]
        return taken


def _broken(why: str) -> MalformedBody:
    return MalformedBody(f"The packed array can not be read: {why}.")
