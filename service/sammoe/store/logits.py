"""A segmentation's logits as bytes: float16, deflated.

Window by window and candidate by candidate, as the record names them, in C order, little-endian;
first the low bytes of all values, then the high ones, which compresses better. Earlier versions of
the program wrote plain float32, which is longer than this can ever be.
"""

import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sammoe.store.frames import damaged
from sammoe.store.records import Logits, SegmentationRecord

_LARGEST: Final = float(np.finfo(np.float16).max)
_LEVEL: Final = 1


def rounded(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits as they will be read again: what float16 has.

    To be done before their first use, so that an answer today and its mask tomorrow are the same.
    """
    return np.clip(logits, -_LARGEST, _LARGEST).astype(np.float16).astype(np.float32)


def pack_logits(record: SegmentationRecord, logits: Sequence[Logits]) -> bytes:
    """The bytes of all candidates that ``record`` names."""
    values = [
        np.ascontiguousarray(candidates[name], dtype="<f2").reshape(-1)
        for window, candidates in zip(record.windows, logits, strict=True)
        for name in window.candidates
    ]
    planes = np.concatenate(values).view(np.uint8).reshape(-1, 2).T
    return zlib.compress(np.ascontiguousarray(planes).data, _LEVEL)


def unpack_logits(record: SegmentationRecord, payload: memoryview) -> list[Logits]:
    """For each window, its candidates, read-only.

    Raises
    ------
    StoreUnavailable
        They are not what ``record`` names.
    """
    count = sum(window.cells**3 * len(window.candidates) for window in record.windows)
    values = _values(payload, count)
    logits: list[Logits] = []
    start = 0
    for window in record.windows:
        candidates = {}
        for name in window.candidates:
            block = values[start : start + window.cells**3]
            candidates[name] = block.reshape((window.cells,) * 3)
            start += block.size
        logits.append(candidates)
    return logits


def _values(payload: memoryview, count: int) -> NDArray[np.float32]:
    if payload.nbytes == 4 * count:
        return np.frombuffer(payload, dtype="<f4")
    inflate = zlib.decompressobj()
    try:
        planes = inflate.decompress(payload, 2 * count)
    except zlib.error:
        raise damaged() from None
    if len(planes) != 2 * count or not inflate.eof:
        raise damaged()
    halves = np.ascontiguousarray(np.frombuffer(planes, np.uint8).reshape(2, -1).T)
    values: NDArray[np.float32] = halves.view("<f2").reshape(-1).astype(np.float32)
    values.setflags(write=False)
    return values
