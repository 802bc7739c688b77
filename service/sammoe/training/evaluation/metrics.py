"""How well a mask fits its target: Dice, and normalised surface Dice (NSD)."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]

TOLERANCE_MM = 1.0
"""Two surfaces that are no farther apart agree."""

_ROUNDING_MM = 1e-6


def dice(mask: Mask, target: Mask) -> float:
    """2 |A n B| / (|A| + |B|); NaN where both are empty."""
    total = int(np.count_nonzero(mask)) + int(np.count_nonzero(target))
    return 2 * int(np.count_nonzero(mask & target)) / total if total else float("nan")


def surface_dice(
    mask: Mask, target: Mask, spacing: Spacing, tolerance: float = TOLERANCE_MM
) -> float:
    """NSD: the share of both surfaces that lies within ``tolerance`` of the other one.

    A surface is made of the voxels of a mask that have a face in common with the outside (what lies
    beyond the array is outside). Each counts by the area of those faces in mm^2, so that voxels
    that are no cubes get no wrong weight; distances are in mm, between voxel centres.

    Parameters
    ----------
    mask, target
        bool [i, j, k], equal shapes.
    spacing
        Of that grid, mm.
    tolerance
        mm.

    Returns
    -------
    In [0, 1]; 0 where one of the two is empty, NaN where both are.
    """
    places, areas = _surface(mask, spacing)
    others, other_areas = _surface(target, spacing)
    if not len(places) or not len(others):
        return 0.0 if len(places) or len(others) else float("nan")
    near = _near(places, others, tolerance)
    other_near = _near(others, places, tolerance)
    agreed = float(areas[near].sum() + other_areas[other_near].sum())
    return agreed / float(areas.sum() + other_areas.sum())


def bounding_slices(mask: Mask, margin: int = 0) -> tuple[slice, slice, slice]:
    """The part of an array that a mask lies in, and ``margin`` voxels more; empty for no mask."""
    found = []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        first, last = (int(hit[0]), int(hit[-1]) + 1) if len(hit) else (0, 0)
        found.append(slice(max(0, first - margin), min(mask.shape[axis], last + margin)))
    return found[0], found[1], found[2]


def _surface(mask: Mask, spacing: Spacing) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places float [n, 3], mm, and exposed areas float [n], mm^2, of the voxels of a surface."""
    box = bounding_slices(mask)
    inner = np.pad(mask[box], 1)
    exposed = np.zeros(inner.shape)
    for axis in range(3):
        area = np.prod(spacing) / spacing[axis]
        for step in (1, -1):  # the pad keeps what is rolled around out of it
            exposed += area * (inner & ~np.roll(inner, step, axis))
    index = np.argwhere(exposed)
    offset = np.array([part.start for part in box]) - 1
    return (index + offset) * np.asarray(spacing), exposed[exposed > 0]


def _near(
    places: NDArray[np.float64], others: NDArray[np.float64], tolerance: float
) -> NDArray[np.bool_]:
    distances, _ = cKDTree(others).query(places, distance_upper_bound=tolerance + _ROUNDING_MM)
    return np.isfinite(distances)
