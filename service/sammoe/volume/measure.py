"""Measure a mask: volume, diameters, bounding box."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist, squareform

from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import Pasted


@dataclass(frozen=True)
class Diameters:
    """Longest diameter in any axial slice, and the longest perpendicular to it in that slice.

    Attributes
    ----------
    slice_axis
        Source axis nearest to head-feet; slices are perpendicular to the other two.
    slice_index
        Source index of the slice along that axis.
    longest_mm, perpendicular_mm
        Lengths in mm, between the outlines of the outermost voxels. As for RECIST 1.1; where a
        slice has a dent, the perpendicular may bridge it, for it is that of the convex hull.
    """

    slice_axis: int
    slice_index: int
    longest_mm: float
    perpendicular_mm: float


@dataclass(frozen=True)
class Measures:
    """What can be said of a mask in numbers.

    Attributes
    ----------
    voxels
        Number of voxels.
    ml
        Volume in millilitres.
    diameters
        None for an empty mask.
    box
        First and last source index of the bounding box, both inclusive; None for an empty mask.
    """

    voxels: int
    ml: float
    diameters: Diameters | None
    box: tuple[tuple[int, int, int], tuple[int, int, int]] | None


def measure(pasted: Pasted, geometry: Geometry) -> Measures:
    """Measure a mask on its volume's grid."""
    voxels = pasted.voxels
    if not voxels:
        return Measures(0, 0.0, None, None)
    ml = voxels * geometry.voxel_ml
    i, j, k = pasted.offset
    a, b, c = pasted.mask.shape
    box = ((i, j, k), (i + a - 1, j + b - 1, k + c - 1))
    return Measures(voxels, ml, _diameters(pasted, geometry), box)


def _diameters(pasted: Pasted, geometry: Geometry) -> Diameters:
    axis = geometry.canonical().axes[2]
    rows_axis, columns_axis = (source for source in range(3) if source != axis)
    slices = pasted.mask.transpose(axis, rows_axis, columns_axis)
    # In-plane coordinates in mm; the metric keeps lengths right where the axes are not square.
    plane = geometry.affine[:3, [rows_axis, columns_axis]]
    metric = np.asarray(np.linalg.cholesky(plane.T @ plane), dtype=np.float64)
    bounds = np.array([_bound(rows, metric) for rows in slices])
    best = Diameters(axis, 0, -1.0, 0.0)
    # The longest candidates first: most slices are then ruled out by their bound alone.
    for number in np.argsort(-bounds, kind="stable"):
        if bounds[number] <= best.longest_mm:
            break
        longest, perpendicular = _slice_diameters(_outline(slices[number]) @ metric)
        if longest > best.longest_mm:
            best = Diameters(axis, pasted.offset[axis] + int(number), longest, perpendicular)
    return best


def _bound(rows: NDArray[np.bool_], metric: NDArray[np.float64]) -> float:
    """Upper bound of a slice's diameter: the longer diagonal of its bounding box, in mm."""
    sides = [np.ptp(np.flatnonzero(rows.any(axis=a))) + 1.0 for a in (1, 0) if rows.any()]
    if not sides:
        return 0.0
    diagonals = np.array([sides, [sides[0], -sides[1]]]) @ metric
    return float(np.linalg.norm(diagonals, axis=1).max())


def _outline(rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Corners [N, 2] of a slice's convex hull, in voxels: midpoints of the voxels' outer edges."""
    # Only the first and last voxel of each row can be on the hull.
    row = np.flatnonzero(rows.any(axis=1))
    filled = rows[row]
    first = filled.argmax(axis=1)
    last = filled.shape[1] - 1 - filled[:, ::-1].argmax(axis=1)
    centres = np.stack([np.tile(row, 2), np.concatenate([first, last])], axis=1).astype(np.float64)
    steps = np.array([[0.5, 0.0], [-0.5, 0.0], [0.0, 0.5], [0.0, -0.5]])
    points = (centres[:, None] + steps).reshape(-1, 2)
    return np.asarray(points[ConvexHull(points).vertices], dtype=np.float64)


def _slice_diameters(hull: NDArray[np.float64]) -> tuple[float, float]:
    """Longest diameter of a convex polygon [N, 2], and the longest chord perpendicular to it."""
    distances = squareform(pdist(hull))
    a, b = np.unravel_index(distances.argmax(), distances.shape)
    along = (hull[b] - hull[a]) / distances[a, b]
    position = hull @ along
    height = hull @ np.array([-along[1], along[0]])
    # The diameter's ends split the outline into two chains; a chord's length is the difference of
    # their heights, concave along the diameter, so it is longest at one of the corners.
    start, end = min(a, b), max(a, b)
    one = np.arange(start, end + 1)
    other = np.r_[end : len(hull), 0 : start + 1]
    heights = []
    for chain in (one, other):
        order = chain[np.argsort(position[chain], kind="stable")]
        heights.append(np.interp(position, position[order], height[order]))
    return float(distances[a, b]), float(np.abs(heights[0] - heights[1]).max())
