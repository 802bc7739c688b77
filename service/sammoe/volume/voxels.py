"""From stored numbers to voxels, and the check that there is something to see in them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sammoe.errors import NoForeground

MAX_INTENSITY = 1e30
"""Greater magnitudes are no scan's, and their squares would overflow float64 sums downstream."""


def to_native(stored: NDArray[Any], slope: float = 1.0, inter: float = 0.0) -> NDArray[Any]:
    """Bring stored numbers to native byte order and scale them: ``stored * slope + inter``.

    Parameters
    ----------
    stored
        [i, j, k], integers or floats, any byte order, first axis fastest in memory.

    Returns
    -------
    The stored type for unscaled integers of up to 32 bits, float32 for all else; same layout.
    """
    native = stored.dtype.newbyteorder("=")
    if slope == 1 and inter == 0 and native.kind in "iu" and native.itemsize <= 4:
        return stored.astype(native, copy=False)
    voxels = np.empty(stored.shape, dtype=np.float32, order="F")
    # Values that float32 can not hold become Inf or NaN, which check_voxels refuses.
    with np.errstate(over="ignore", invalid="ignore"):
        # Slice by slice: the float64 copy that exact scaling needs is never larger than one.
        for k in range(stored.shape[2]):
            voxels[..., k] = stored[..., k] * np.float64(slope) + inter
    return voxels


def check_voxels(voxels: NDArray[Any]) -> None:
    """Refuse voxels in which nothing can be segmented.

    Raises
    ------
    NoForeground
        A voxel is NaN, Inf or beyond ``MAX_INTENSITY``, all are equal, or none is above 0.
    """
    # NaN passes through min and max; a signalling one would warn on its way.
    with np.errstate(invalid="ignore"):
        low, high = float(voxels.min()), float(voxels.max())
    if not (low >= -MAX_INTENSITY and high <= MAX_INTENSITY):
        raise NoForeground(
            "The scan holds voxels that are NaN, Inf or absurdly large; "
            "replace them by a number, for example 0 outside of the body."
        )
    if low == high:
        raise NoForeground("The scan is empty: all its voxels are equal.")
    if high <= 0:
        raise NoForeground("The scan has no voxel above 0: there is nothing to segment.")
