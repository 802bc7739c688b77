"""A segmentation's logits as bytes: float16, deflated.

One array after the other in C order, little-endian; first the low bytes of all values, then the
high ones, which compresses better. Earlier versions of the program wrote plain float32, which is
longer than this can ever be.
"""

import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from sammoe.store.frames import damaged

_LARGEST: Final = float(np.finfo(np.float16).max)
_LEVEL: Final = 1


def rounded(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits as they will be read again: what float16 has.

    To be done before their first use, so that an answer today and its mask tomorrow are the same.
    """
    return np.clip(logits, -_LARGEST, _LARGEST).astype(np.float16).astype(np.float32)


def deflated(arrays: Sequence[NDArray[np.float32]]) -> bytes:
    """The bytes of arrays of any shapes; NaN is kept."""
    values = [np.ascontiguousarray(array, dtype="<f2").reshape(-1) for array in arrays]
    planes = np.concatenate(values).view(np.uint8).reshape(-1, 2).T
    return isal_zlib.compress(np.ascontiguousarray(planes).data, _LEVEL)


def inflated(payload: memoryview, count: int) -> NDArray[np.float32]:
    """The values of all arrays together: float32 [count], read-only.

    Raises
    ------
    StoreUnavailable
        They are not as many.
    """
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
