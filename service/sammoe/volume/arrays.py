"""Scans that come as bare arrays, with a spacing and nothing else, and masks that go back so.

A viewer that sends an array says nothing of the patient: axes are taken in the order that it is
configured to use, and to run where they are declared to run, by default to the patient's left, back
and head, as most viewers store images. Masks go back in the same order, so nothing can come out
mirrored; but what lies otherwise than declared is shown to the networks turned.

A negative spacing does say something: napari's reader of NIfTI and NRRD turns every scan to run to
the right, front and head, and puts a minus before each spacing to have it drawn as radiologists
look at it. So an axis with a minus is taken to run to the right, front or head.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sammoe.errors import AffineInvalid, HeaderInvalid
from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import Pasted
from sammoe.volume.reading import volume_of
from sammoe.volume.volume import Volume

AxisOrder = Literal["kji", "ijk"]
"""Which voxel axis each axis of an array is: ``kji`` is NumPy's view of ITK's memory."""

Region = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Half-open ranges of an array's three axes."""

Corners = tuple[tuple[int, int, int], tuple[int, int, int]]
"""First and last voxel of a box."""

_DIRECTIONS = {
    letter: (axis, sign)
    for axis, letters in enumerate(("RL", "AP", "SI"))
    for letter, sign in zip(letters, (1.0, -1.0), strict=True)
}
"""Letter to axis of RAS+ mm and the sign along it."""


def volume_from_array(
    array: NDArray[Any], spacing: Sequence[float], order: AxisOrder, orientation: str = "LPS"
) -> Volume:
    """A scan of an array.

    Parameters
    ----------
    array
        [X, Y, Z], any real dtype; kept as it is where it is an integer of up to 32 bits or float32.
    spacing
        mm along the array's axes; below 0 along one that runs to the patient's right, front or head
        whatever is declared.
    order
        Of the array's axes.
    orientation
        Where i, j, k run to: one letter for each, as declared.

    Raises
    ------
    HeaderInvalid, AffineInvalid
        There are not three axes and spacings, or a spacing is impossible.
    NoForeground
        There is nothing to see.
    """
    if array.ndim != 3 or len(spacing) != 3:
        raise HeaderInvalid("An image has three axes and a spacing for each.")
    if not all(abs(size) > 0 for size in spacing):
        raise AffineInvalid("A spacing must not be 0 mm.")
    voxels, mm = array, list(spacing)
    if order == "kji":
        voxels, mm = array.T, mm[::-1]
    if voxels.dtype == np.bool_:
        voxels = voxels.view(np.uint8)
    elif voxels.dtype.kind == "f" or voxels.dtype.itemsize == 8:
        voxels = voxels.astype(np.float32, copy=False)
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    for column, (letter, size) in enumerate(zip(orientation, mm, strict=True)):
        axis, sign = _DIRECTIONS[letter]
        affine[axis, column] = -size if size < 0 else sign * size
    shape = (voxels.shape[0], voxels.shape[1], voxels.shape[2])
    return volume_of(voxels, Geometry(shape, affine))


def changed(before: Pasted, after: Pasted, within: Corners | None = None) -> Pasted | None:
    """What a viewer must write to come from one mask to the other.

    Parameters
    ----------
    before, after
        The masks.
    within
        First and last voxel of a box all of which is written: the viewer's mask is another there.

    Returns
    -------
    The new mask in the smallest box that holds all voxels that differ; unlike other masks it may
    have faces that it does not touch. None when nothing differs.
    """
    parts = [part for part in (before, after) if part.mask.size]
    if within is not None:
        first, last = within
        size = [b - a + 1 for a, b in zip(first, last, strict=True)]
        parts.append(Pasted(np.zeros(size, np.bool_), first))
    if not parts:
        return None
    low = np.min([part.offset for part in parts], axis=0)
    high = np.max([np.add(part.offset, part.mask.shape) for part in parts], axis=0)
    old, new = (_within(part, low, high) for part in (before, after))
    differs = old != new
    if within is not None:
        differs[tuple(slice(a - o, b - o + 1) for a, b, o in zip(*within, low, strict=True))] = True
    box = []
    for axis in range(3):
        hit = np.flatnonzero(differs.any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(hit):
            return None
        box.append(slice(int(hit[0]), int(hit[-1]) + 1))
    i, j, k = (int(start) + cut.start for start, cut in zip(low, box, strict=True))
    return Pasted(new[tuple(box)], (i, j, k))


def region(part: Pasted, order: AxisOrder) -> tuple[NDArray[np.bool_], Region]:
    """A part of a mask in the array's axis order, and where it lies in the array."""
    ranges = [(o, o + n) for o, n in zip(part.offset, part.mask.shape, strict=True)]
    mask = part.mask
    if order == "kji":
        ranges, mask = ranges[::-1], mask.T
    return mask, (ranges[0], ranges[1], ranges[2])


def _within(part: Pasted, low: NDArray[Any], high: NDArray[Any]) -> NDArray[np.bool_]:
    whole = np.zeros(high - low, np.bool_, order="F")
    if part.mask.size:
        start = np.subtract(part.offset, low)
        box = tuple(slice(s, s + n) for s, n in zip(start, part.mask.shape, strict=True))
        whole[box] = part.mask
    return whole
