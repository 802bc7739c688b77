"""A field of logits: what is known of a structure, on cells of its volume's model grid.

A decoder answers on 4 cells a patch of its window. All windows of one field begin a whole number
of cells apart, so that their answers lie on one another cell by cell; see `aligned`. A field is as
large as what was looked at, and NaN where nobody looked.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sammoe.errors import TooLarge
from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import Pasted, cut, paste_box, upsampling
from sammoe.volume.resample import Taps, taps
from sammoe.volume.window import Window, model_grid

CELLS_PER_PATCH = 4

Region = tuple[slice, slice, slice]


MAX_CELLS: Final = 3 << 24
"""Of one field in memory: 2 m of a scanner's whole bore, 0.8 m wide, at cells of 3 mm.

While a click is worked on, a cell takes about 20 bytes at most.
"""

_SLAB_CELLS: Final = 1 << 18
"""Cells that are worked on at once: they take little memory beside the field, and stay in cache."""


@dataclass(frozen=True, eq=False)
class Field:
    """Logits on cells.

    Attributes
    ----------
    spacing
        Of the model grid, mm.
    patch
        Model voxels of 4 cells.
    start
        Model voxel at which the first cell begins, canonical axis order; may be negative.
    values
        float32 [a, b, c], canonical axis order; NaN where nothing is known.
    """

    spacing: float
    patch: int
    start: tuple[int, int, int]
    values: NDArray[np.float32]

    @classmethod
    def of_window(cls, window: Window, logits: NDArray[np.float32]) -> "Field":
        """One window's logits [L, L, L]."""
        patch = CELLS_PER_PATCH * window.side // len(logits)
        return cls(window.spacing, patch, window.start, logits)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where somebody looked: bool, as ``values``."""
        return ~np.isnan(self.values)

    def holds(self, window: Window) -> bool:
        """Whether a window's cells are cells of this field."""
        gaps = [CELLS_PER_PATCH * (w - s) for w, s in zip(window.start, self.start, strict=True)]
        return window.spacing == self.spacing and not any(gap % self.patch for gap in gaps)

    def region(self, window: Window) -> Region:
        """Cells of a window that it `holds`, as indices of ``values``; they may lie beyond."""
        count = CELLS_PER_PATCH * window.side // self.patch
        first = [
            CELLS_PER_PATCH * (w - s) // self.patch
            for w, s in zip(window.start, self.start, strict=True)
        ]
        i, j, k = (slice(at, at + count) for at in first)
        return i, j, k

    def within(self, window: Window, cells: int) -> NDArray[np.float32]:
        """The field in any window: float32 [cells, cells, cells], NaN where unknown."""
        patch = CELLS_PER_PATCH * window.side // cells
        if patch == self.patch and self.holds(window):
            return self._part(self.region(window))
        return self.resampled(window.spacing, patch, window.start, (cells,) * 3).values

    def over(self, other: "Field") -> NDArray[np.float32]:
        """These values on the cells of another field, whose cells are of the same lattice."""
        region = []
        for axis, count in enumerate(other.values.shape):
            first = CELLS_PER_PATCH * (other.start[axis] - self.start[axis]) // self.patch
            region.append(slice(first, first + count))
        i, j, k = region
        return self._part((i, j, k))

    def covering(self, regions: Sequence[Region]) -> "Field":
        """The same on a box of cells that holds these regions too."""
        box = [slice(0, count) for count in self.values.shape]
        for region in regions:
            box = [
                slice(min(a.start, b.start), max(a.stop, b.stop))
                for a, b in zip(box, region, strict=True)
            ]
        i, j, k = box
        cells = math.prod(part.stop - part.start for part in box)
        if cells > MAX_CELLS:
            raise TooLarge(
                "The windows of this segmentation lie too far from each other: start another one."
            )
        moved = (self.start[axis] + self._voxels(box[axis].start) for axis in range(3))
        x, y, z = moved
        return replace(self, start=(x, y, z), values=self._part((i, j, k)))

    def resampled(
        self, spacing: float, patch: int, start: tuple[int, int, int], shape: Sequence[int]
    ) -> "Field":
        """The same on other cells, averaged where those are coarser; at least half must be known.

        Model grids of all spacings share their volume's outer edge, so millimetres from there mean
        the same place in each.

        Raises
        ------
        TooLarge
            These are more than `MAX_CELLS`.
        """
        if math.prod(shape) > MAX_CELLS:
            raise TooLarge(
                f"Cells of a grid of {spacing:g} mm are too small for a segmentation of this"
                " extent: take a larger spacing."
            )
        known = self.known
        logits, there = np.where(known, self.values, np.float32(0)), known.astype(np.float32)
        ratio = (patch * spacing) / (self.patch * self.spacing)
        rows = []
        for axis in range(3):
            place = start[axis] + (np.arange(shape[axis]) + 0.5) * patch / CELLS_PER_PATCH
            place = place * (spacing / self.spacing) - self.start[axis]
            cell = place * CELLS_PER_PATCH / self.patch - 0.5
            rows.append(taps(cell, self.values.shape[axis], max(1.0, ratio)))
        values = np.full(shape, np.nan, np.float32)
        for slab in slabs(shape):
            along = rows[0].part(slab), rows[1], rows[2]
            total, share = _averaged(logits, along), _averaged(there, along)
            np.divide(total, share, out=values[slab], where=share > 0.5 - 1e-6)
        return Field(spacing, patch, start, values)

    def paste(self, geometry: Geometry, threshold: float = 0.0) -> Pasted:
        """The mask on the volume's own grid: see `sammoe.volume.paste.paste`.

        Known cells reach to their outer faces; beyond them no voxel is in the mask.
        """
        values = self.values
        known = self.known
        whole = bool(known.all())
        if not whole:
            values = _spread(values)
            np.copyto(values, np.float32(threshold), where=np.isnan(values))
        sides = [self._voxels(count) for count in values.shape]
        pasted = paste_box(values, self.spacing, self.start, sides, geometry, threshold)
        if whole or not pasted.mask.size:
            return pasted
        grid = model_grid(geometry, self.spacing)
        inside = known.transpose([grid.axes.index(source) for source in range(3)])
        for source in range(3):
            axis = grid.axes.index(source)
            at = pasted.offset[source] + np.arange(pasted.mask.shape[source])
            cell = (grid.axis_to_model(axis, at) + 0.5 - self.start[axis]) / self.patch
            index = np.floor(cell * CELLS_PER_PATCH).astype(np.int64)
            inside = inside.take(index.clip(0, values.shape[axis] - 1), axis=source)
        return cut(pasted.mask & inside, pasted.offset)

    def at(self, model: NDArray[np.float64]) -> float:
        """The logit that `paste` compares at a model index [3]; NaN where nothing is known."""
        box = self.support(model)
        value = _spread(self._part(box))
        for axis in range(3):
            first = self._voxels(box[axis].start) + self.start[axis]
            side = self._voxels(box[axis].stop - box[axis].start)
            row = taps(np.array([model[axis] - first]), side).rows(upsampling(value.shape[0], side))
            value = np.tensordot(value, row[0], axes=(0, 0))
        return float(value)

    def support(self, model: NDArray[np.float64]) -> Region:
        """Cells that the mask at a model index [3] is made of, a whole number of voxels wide."""
        unit = whole_cells(self.patch)
        box = []
        for axis in range(3):
            low = math.floor(model[axis]) - self.start[axis]
            first = math.floor((low + 0.5) * CELLS_PER_PATCH / self.patch - 0.5)
            last = math.floor((low + 1.5) * CELLS_PER_PATCH / self.patch - 0.5) + 1
            first = first // unit * unit
            box.append(slice(first, first + -(-(last + 1 - first) // unit) * unit))
        i, j, k = box
        return i, j, k

    def _voxels(self, cells: int) -> int:
        return cells * self.patch // CELLS_PER_PATCH

    def _part(self, region: Region) -> NDArray[np.float32]:
        """Values in a region, NaN beyond the field; no copy where it is all of the field."""
        shape = self.values.shape
        if all(r.start == 0 and r.stop == n for r, n in zip(region, shape, strict=True)):
            return self.values
        part = np.full([r.stop - r.start for r in region], np.nan, np.float32)
        ours = [slice(max(0, r.start), min(n, r.stop)) for r, n in zip(region, shape, strict=True)]
        if all(mine.start < mine.stop for mine in ours):
            theirs = [
                slice(mine.start - r.start, mine.stop - r.start)
                for mine, r in zip(ours, region, strict=True)
            ]
            part[tuple(theirs)] = self.values[tuple(ours)]
        return part


def whole_cells(patch: int) -> int:
    """The fewest cells that are a whole number of voxels wide."""
    return CELLS_PER_PATCH // math.gcd(patch, CELLS_PER_PATCH)


def aligned(start: Sequence[int], like: Window, patch: int, size: Sequence[int]) -> Window:
    """The window nearest to ``start`` whose cells lie on those of ``like``.

    It leaves a volume that it fits in by less than a cell; along an axis where the volume is
    shorter than the window, all windows are one.

    Parameters
    ----------
    start
        Wanted first voxel on the model grid.
    like
        Gives spacing, side, and where cells begin.
    patch, size
        Model voxels of 4 cells; shape of the model grid.
    """
    unit, side = patch // math.gcd(patch, CELLS_PER_PATCH), like.side
    found = []
    for wanted, phase, n in zip(start, like.start, size, strict=True):
        if n <= side:
            found.append(phase)
            continue
        nearest = phase + math.floor((wanted - phase) / unit + 0.5) * unit
        lowest = phase - -(-phase // unit) * unit
        highest = phase + -(-(n - side - phase) // unit) * unit
        found.append(min(max(nearest, lowest), highest))
    return Window(like.spacing, (found[0], found[1], found[2]), side)


def slabs(shape: Sequence[int]) -> Iterator[slice]:
    """Parts of the first axis, one after the other, of about `_SLAB_CELLS` each."""
    planes = max(1, _SLAB_CELLS // math.prod(shape[1:]))
    for first in range(0, shape[0], planes):
        yield slice(first, min(first + planes, shape[0]))


def _averaged(values: NDArray[np.float32], along: Sequence[Taps]) -> NDArray[np.float32]:
    for axis, rows in enumerate(along):
        values = np.moveaxis(rows.rows(np.moveaxis(values, axis, 0)), 0, axis)
    return values


def _spread(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A copy, with the outermost known cells repeated by one cell in every direction."""
    spread = values.copy()
    ends = slice(1, None), slice(None, -1)
    for axis in range(3):
        before = spread.copy()
        for step in (1, -1):
            to, of = ([slice(None)] * 3 for _ in range(2))
            to[axis], of[axis] = ends[::step]
            near = spread[tuple(to)]
            np.copyto(near, before[tuple(of)], where=np.isnan(near))
    return spread
