"""Where an answer is wrong, and by how much."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def dice(mask: NDArray[np.bool_], reference: NDArray[np.bool_]) -> float:
    """Overlap 2 |A and B| / (|A| + |B|), 0 to 1; 1 for two empty masks."""
    both = int(np.count_nonzero(mask)) + int(np.count_nonzero(reference))
    return 2 * int(np.count_nonzero(mask & reference)) / both if both else 1.0


def deepest_error(
    mask: NDArray[np.bool_], reference: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], bool] | None:
    """The voxel farthest inside of any region where the masks differ: where a careful user clicks.

    Returns
    -------
    Index (i, j, k) and whether the click there is positive (the structure was missed); None if the
    masks are equal. Distances are in voxels.
    """
    wrong = mask != reference
    if not wrong.any():
        return None
    # Missed and surplus voxels that touch are two regions; a rim makes the box's faces borders.
    places = np.argwhere(wrong)
    low, high = places.min(axis=0), places.max(axis=0) + 1
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    depths = [
        ndimage.distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1, 1:-1]
        for part in (reference[box] & ~mask[box], mask[box] & ~reference[box])
    ]
    depth = np.maximum(*depths)
    deepest = np.array(np.unravel_index(int(depth.argmax()), depth.shape)) + low
    return deepest, bool(reference[tuple(deepest)])
