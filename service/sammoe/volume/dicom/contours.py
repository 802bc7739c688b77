"""Outlines of a mask's slice, as closed polygons on which each pixel centre is decided.

The outline runs half-way between the centres of a pixel in the mask and of its neighbour outside
(marching squares on a binary image), so whoever fills the polygon by pixel centres gets the very
mask back, and no outline is farther than half a pixel from the pixels' edges. Pixels that touch at
corners alone are apart. A hole is joined to the outline around it by a channel of no width (the
"keyhole" of DICOM PS3.3, C.8.8.6.3), which every reader fills right.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.spatial import cKDTree

Polygon = NDArray[np.float64]
"""[N, 2], (column, row) in pixels, integers at centres; the last point is joined to the first."""

# Midpoints of a cell's sides, in half pixels (row, column) from its upper left corner's centre.
_TOP, _RIGHT, _BOTTOM, _LEFT = (0, 1), (1, 2), (2, 1), (1, 0)

_STEPS: Final = {
    # Corners in the mask (1 upper left, 2 upper right, 4 lower right, 8 lower left) -> steps with
    # the mask on one side; in the two saddles each corner is cut off for itself.
    1: ((_TOP, _LEFT),),
    2: ((_RIGHT, _TOP),),
    3: ((_RIGHT, _LEFT),),
    4: ((_BOTTOM, _RIGHT),),
    5: ((_TOP, _LEFT), (_BOTTOM, _RIGHT)),
    6: ((_BOTTOM, _TOP),),
    7: ((_BOTTOM, _LEFT),),
    8: ((_LEFT, _BOTTOM),),
    9: ((_TOP, _BOTTOM),),
    10: ((_RIGHT, _TOP), (_LEFT, _BOTTOM)),
    11: ((_RIGHT, _BOTTOM),),
    12: ((_LEFT, _RIGHT),),
    13: ((_TOP, _RIGHT),),
    14: ((_LEFT, _TOP),),
}


def outlines(mask: NDArray[Any]) -> list[Polygon]:
    """Return one polygon for each part of a slice's mask, its holes joined to it.

    Parameters
    ----------
    mask
        [column, row]; not 0 is inside.
    """
    inside = np.pad(np.not_equal(mask.T, 0), 1)
    parts, count = label(inside)
    outer: list[Polygon | None] = [None] * count
    holes: list[list[Polygon]] = [[] for _ in range(count)]
    for loop in _loops(inside):
        part = int(parts[_pixel_inside(loop, inside)]) - 1
        # Back from half pixels of the padded slice, and from (row, column).
        polygon = _without_midpoints(np.array(loop))[:, ::-1] / 2 - 1
        if _area(polygon) > 0:
            outer[part] = polygon
        else:
            holes[part].append(polygon)
    found = zip(outer, holes, strict=True)
    return [_joined(whole, inner) for whole, inner in found if whole is not None]


def _loops(inside: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """Closed outlines: vertices (row, column) in half pixels; around the mask and its holes."""
    corners = inside.astype(np.uint8)
    kind = corners[:-1, :-1] + 2 * corners[:-1, 1:] + 4 * corners[1:, 1:] + 8 * corners[1:, :-1]
    following: dict[tuple[int, int], tuple[int, int]] = {}
    for code, steps in _STEPS.items():
        cells = 2 * np.argwhere(kind == code)
        for begin, end in steps:
            begins, ends = (cells + begin).tolist(), (cells + end).tolist()
            following.update(zip(map(tuple, begins), map(tuple, ends), strict=True))
    loops = []
    while following:
        begin, vertex = following.popitem()
        loop = [begin]
        while vertex != begin:
            loop.append(vertex)
            vertex = following.pop(vertex)
        loops.append(loop)
    return loops


def _pixel_inside(loop: list[tuple[int, int]], inside: NDArray[np.bool_]) -> tuple[int, int]:
    """The pixel of the mask that a loop's first vertex lies beside."""
    row, column = loop[0]
    # One of the two is odd: half-way between two pixels of a column, or of a row.
    first = (row // 2, column // 2)
    return first if inside[first] else (-(-row // 2), -(-column // 2))


def _without_midpoints(loop: NDArray[np.int64]) -> NDArray[np.int64]:
    """Leave out vertices on a straight line between their neighbours."""
    before, after = loop - np.roll(loop, 1, 0), np.roll(loop, -1, 0) - loop
    bends = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return np.asarray(loop[bends])


def _area(polygon: Polygon) -> float:
    """Positive around a part of the mask, negative around a hole in it."""
    x, y = polygon.T
    return float(np.roll(x, 1) @ y - x @ np.roll(y, 1)) / 2


def _joined(outline: Polygon, holes: list[Polygon]) -> Polygon:
    """Join holes to the outline, the nearest first, so that no channel crosses another hole."""
    left = list(holes)
    while left:
        tree = cKDTree(outline)
        reached = [_nearest(tree, hole) for hole in left]
        distance, at, place = min(reached)
        hole = left.pop(reached.index((distance, at, place)))
        around = np.roll(hole, -at, axis=0)
        outline = np.concatenate((outline[: place + 1], around, around[:1], outline[place:]))
    return outline


def _nearest(outline: "cKDTree[None]", hole: Polygon) -> tuple[float, int, int]:
    """Distance of the nearest vertices, and their places in the hole and in the outline."""
    distances, places = map(np.asarray, outline.query(hole))
    at = int(np.argmin(distances))
    return float(distances[at]), at, int(places[at])
