"""Bring low-resolution logits back to the volume's own grid.

The decoder answers on ``cells`` = L cells a side; its mask is defined by trilinear upsampling to
the window (align_corners False, as in SAM-Med3D), then linear interpolation to the source voxels,
then a threshold. Both steps are linear and separable, so each axis needs one matrix [source
voxels, L]; and every row of it is a convex combination, so only voxels that touch a cell above
the threshold can be in the mask. All else is never computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sammoe.volume.geometry import Geometry
from sammoe.volume.resample import taps
from sammoe.volume.window import GridMap, Window, model_grid

_TOGETHER: Final = 1 << 18
"""Voxels, of one slab or more, that are done at once: they stay in cache, and calls are few."""

_PLANES: Final = 1 << 22
"""Voxels of planes of cells that are there at once, 16 MiB; ..."""

_FEWEST_PLANES: Final = 16
"""... but never fewer planes, for two or three of them are made twice."""


@dataclass(frozen=True, eq=False)
class Pasted:
    """A mask on the source grid, cut to its bounding box.

    Attributes
    ----------
    mask
        bool [a, b, c], source axis order, the first axis fastest in memory as in NIfTI and NRRD
        files; every face touches the mask. An empty mask has shape (0, 0, 0).
    offset
        Source index of ``mask[0, 0, 0]``; (0, 0, 0) for an empty mask.
    """

    mask: NDArray[np.bool_]
    offset: tuple[int, int, int]

    @cached_property
    def voxels(self) -> int:
        """How many voxels the mask has; counted once."""
        return int(np.count_nonzero(self.mask))

    def full(self, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        """Return the mask in a volume of ``shape``: uint8, 0 or 1, first axis fastest."""
        whole = np.zeros(shape, dtype=np.uint8, order="F")
        box = tuple(slice(o, o + n) for o, n in zip(self.offset, self.mask.shape, strict=True))
        whole[box] = self.mask
        return whole


def cut(mask: NDArray[np.bool_], offset: tuple[int, int, int] = (0, 0, 0)) -> Pasted:
    """Cut a mask to its bounding box.

    Parameters
    ----------
    mask
        bool [i, j, k].
    offset
        Source index of ``mask[0, 0, 0]``.
    """
    if not mask.any():
        return Pasted(np.zeros((0, 0, 0), dtype=np.bool_, order="F"), (0, 0, 0))
    k = _extent(np.asarray(mask.any(axis=(0, 1))))
    mask = mask[:, :, k]
    # What all slices show together tells the other two axes.
    shadow = np.asarray(mask.any(axis=2))
    i, j = _extent(np.asarray(shadow.any(axis=1))), _extent(np.asarray(shadow.any(axis=0)))
    x, y, z = (o + part.start for o, part in zip(offset, (i, j, k), strict=True))
    return Pasted(np.asfortranarray(mask[i, j]), (x, y, z))


def _extent(hit: NDArray[np.bool_]) -> slice:
    """From the first to the last that is hit, of which there is one."""
    found = np.flatnonzero(hit)
    return slice(int(found[0]), int(found[-1]) + 1)


def paste(
    logits: NDArray[np.float32], window: Window, geometry: Geometry, threshold: float = 0.0
) -> Pasted:
    """Upsample logits to the source grid and threshold them.

    Parameters
    ----------
    logits
        float32 [L, L, L], canonical axes, covering the window.
    window, geometry
        Where the logits lie and the volume they belong to.
    threshold
        A voxel is in the mask where its logit is greater. Outside of the window no voxel is.
    """
    sides = (window.side,) * 3
    return paste_box(logits, window.spacing, window.start, sides, geometry, threshold)


def paste_box(
    logits: NDArray[np.float32],
    spacing: float,
    start: Sequence[int],
    sides: Sequence[int],
    geometry: Geometry,
    threshold: float = 0.0,
) -> Pasted:
    """The same for a box of the model grid.

    Parameters
    ----------
    logits
        float32 [a, b, c], canonical axes, covering the box.
    spacing, start, sides
        The model grid's, mm; the box's first voxel on it, and its voxels along each axis.
    geometry, threshold
        As in `paste`.
    """
    grid = model_grid(geometry, spacing)
    # From here on source axis order: one matrix for each source axis, flips included.
    logits = logits.transpose([grid.axes.index(source) for source in range(3)])
    above = logits > threshold
    matrices, offset = [], [0, 0, 0]
    for source in range(3):
        hit = np.flatnonzero(above.any(axis=tuple(a for a in range(3) if a != source)))
        axis = grid.axes.index(source)
        first, matrix = _matrix(grid, axis, start[axis], sides[axis], logits.shape[source])
        touched = np.flatnonzero(matrix[:, hit].any(axis=1))
        if not len(touched):
            return cut(np.zeros((0, 0, 0), dtype=np.bool_))
        offset[source] = first + int(touched[0])
        matrices.append(matrix[touched[0] : touched[-1] + 1])
    for source, matrix in enumerate(matrices):
        cells = np.flatnonzero(matrix.any(axis=0))
        used = slice(int(cells[0]), int(cells[-1]) + 1)
        matrices[source] = matrix[:, used]
        logits = logits[(slice(None),) * source + (used,)]
    mask = _threshold(logits, (matrices[0], matrices[1], matrices[2]), threshold)
    return cut(mask, (offset[0], offset[1], offset[2]))


def _threshold(
    logits: NDArray[np.float32],
    matrices: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    threshold: float,
) -> NDArray[np.bool_]:
    """Apply one matrix per axis and compare; bool [i, j, k] with i fastest."""
    along_i, along_j, along_k = matrices
    # Work in (k, j, i) order. Between the cells' planes lie the slabs, each a mixture of its two or
    # three nearest planes alone; of slices so thick that there are fewer than cells, cells are
    # mixed first. Done a few at a time, straight to bool: the full-size logits never exist.
    cells: NDArray[np.float32] = np.ascontiguousarray(logits.T)
    spread = np.ascontiguousarray(along_i.T)
    if len(along_k) < len(cells):
        cells = np.tensordot(along_k, cells, axes=1)
        along_k = np.eye(len(along_k), dtype=np.float32)
    size = len(along_j) * len(along_i)
    mask = np.empty((len(along_k), size), dtype=np.bool_)
    planes_at_once = max(_FEWEST_PLANES, _PLANES // size)
    step = max(1, planes_at_once * len(along_k) // len(cells))
    for first in range(0, len(mask), step):
        rows = along_k[first : first + step]
        near = _extent(np.asarray(rows.any(axis=0)))
        planes = np.asarray(along_j @ cells[near] @ spread, np.float32).reshape(-1, size)
        _mix(rows[:, near], planes, threshold, mask[first : first + step])
    return mask.reshape(-1, len(along_j), len(along_i)).T


def _mix(
    rows: NDArray[np.float32],
    planes: NDArray[np.float32],
    threshold: float,
    mask: NDArray[np.bool_],
) -> None:
    """Where mixtures of planes exceed the threshold, into ``mask`` [slabs, voxels of one]."""
    count = max(1, _TOGETHER // planes.shape[1])
    buffer = np.empty((min(count, len(rows)), planes.shape[1]), dtype=np.float32)
    for first in range(0, len(rows), count):
        few = rows[first : first + count]
        near = _extent(np.asarray(few.any(axis=0)))
        mixed = np.matmul(few[:, near], planes[near], out=buffer[: len(few)])
        np.greater(mixed, threshold, out=mask[first : first + count])


def _matrix(
    grid: GridMap, axis: int, start: int, side: int, cells: int
) -> tuple[int, NDArray[np.float32]]:
    """Matrix float32 [N, cells] of the N source indices whose centres lie inside of the box.

    Parameters
    ----------
    axis
        The canonical one; along it the box begins at model voxel ``start`` and has ``side``.

    Returns
    -------
    The first of those indices, and the matrix (with N = 0 where the box misses the volume).
    """
    voxel = grid.axis_to_model(axis, np.arange(grid.source_shape[grid.axes[axis]])) - start
    inside = np.flatnonzero((voxel >= -0.5) & (voxel <= side - 0.5))
    first = int(inside[0]) if len(inside) else 0
    linear = taps(voxel[inside], side)
    return first, linear.rows(upsampling(cells, side))


@lru_cache(maxsize=64)
def upsampling(cells: int, side: int) -> NDArray[np.float32]:
    """Matrix [side, cells] of linear upsampling with half-pixel centres and repeated edges."""
    position = (np.arange(side, dtype=np.float64) + 0.5) * (cells / side) - 0.5
    matrix = taps(position, cells).matrix(cells)
    matrix.setflags(write=False)
    return matrix
