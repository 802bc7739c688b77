"""A structure that outgrows its windows is looked at through coarser ones: pure functions.

The same prompt at the next coarser spacing, without what is known already, says how far the
structure reaches. That counts only if it goes on with what the finer windows had found. Then it is
put on their cells, their answers are laid over it, and finer windows along the rest of its boundary
are looked at in their turn.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from sammoe.segmentation.following import AGREEING, SURE, Neighbour
from sammoe.volume.field import CELLS_PER_PATCH, Field, Region, aligned
from sammoe.volume.window import Window, WindowRule

WORTH: Final = 64
"""Boundary cells that no finer window has seen, below which none is looked at for them."""

_RIM: Final = 1 / 8
"""Share of a window's side at either face: what lies there is not what a window is chosen for."""


def coarser(rule: WindowRule, spacing: float) -> float | None:
    """The next of the bundle's spacings; None where there is none."""
    return next((one for one in rule.spacings if one > spacing), None)


def finer(field: Field, like: Window, patch: int) -> Field:
    """A field on the cells of a window of another spacing, as many as it takes."""
    ratio = field.spacing / like.spacing
    low = np.array(field.start) * ratio
    high = low + np.array(field.values.shape) * field.patch / CELLS_PER_PATCH * ratio
    # A whole number of patches before and after the window.
    before = np.ceil((np.array(like.start) - low) / patch).astype(int)
    after = np.ceil((high - like.start) / patch).astype(int)
    x, y, z = (np.array(like.start) - before * patch).tolist()
    return field.resampled(
        like.spacing, patch, (x, y, z), ((before + after) * CELLS_PER_PATCH).tolist()
    )


def goes_with(coarse: Field, found: Field) -> bool:
    """Whether a coarser mask, on the finer cells, goes on with what is known: see `AGREEING`."""
    other = coarse.over(found)
    where = found.known & ~np.isnan(other)
    ours, theirs = found.values[where] > 0, other[where] > 0
    total = int(np.count_nonzero(ours)) + int(np.count_nonzero(theirs))
    return total > 0 and 2 * int(np.count_nonzero(ours & theirs)) >= AGREEING * total


def boundary(
    field: Field, seen: Sequence[Window], grid: tuple[int, int, int], rule: WindowRule, limit: int
) -> list[Neighbour]:
    """Windows along a mask's surface that were not looked at yet, those with most of it first.

    Parameters
    ----------
    field
        The mask.
    seen
        Windows of its spacing that were looked at, at least one.
    grid
        Shape of the model grid.
    limit
        How many windows at most.
    """
    mask = field.values > 0
    surface = mask & ~binary_erosion(mask, border_value=1)
    for window in seen:
        surface[_part(field, window)] = False
    found: list[Neighbour] = []
    while len(found) < limit:
        window = _fullest(surface, field, seen[0], grid, rule)
        size = int(np.count_nonzero(surface[_part(field, window)]))
        if size < WORTH:
            break
        surface[_part(field, window)] = False
        found.append(Neighbour(window, size, _hint(field, window, rule)))
    return found


def _fullest(
    surface: NDArray[np.bool_],
    field: Field,
    like: Window,
    grid: tuple[int, int, int],
    rule: WindowRule,
) -> Window:
    """The window of the lattice with most of a surface well inside of it."""
    count, margin = rule.cells, round(_RIM * rule.cells)
    step = max(1, rule.step(like.spacing) * CELLS_PER_PATCH // rule.patch)
    sums, starts = surface.astype(np.int32), []
    for axis, n in enumerate(surface.shape):
        phase = CELLS_PER_PATCH * (like.start[axis] - field.start[axis]) // rule.patch
        first = np.arange((phase + count) % step - count, n, step)
        starts.append(first)
        total = np.cumsum(np.insert(sums, 0, 0, axis), axis, dtype=np.int32)
        ends = (np.clip(first + at, 0, n) for at in (count - margin, margin))
        upper, lower = (np.take(total, end, axis) for end in ends)
        sums = upper - lower
    place = np.unravel_index(int(sums.argmax()), sums.shape)
    cells = [int(first[at]) for first, at in zip(starts, place, strict=True)]
    start = [s + c * rule.patch // CELLS_PER_PATCH for s, c in zip(field.start, cells, strict=True)]
    return aligned(start, like, rule.patch, grid)


def _part(field: Field, window: Window) -> Region:
    """A window's cells in a field, as far as it has them."""
    i, j, k = (slice(max(0, part.start), max(0, part.stop)) for part in field.region(window))
    return i, j, k


def _hint(field: Field, window: Window, rule: WindowRule) -> NDArray[np.float64]:
    """The deepest place of the mask in a window, window voxels [N, 3], if it is sure there."""
    logits = field.within(window, rule.cells)
    depth = distance_transform_edt(np.pad(logits > 0, 1))[1:-1, 1:-1, 1:-1]
    at = np.unravel_index(int(depth.argmax()), depth.shape)
    if not logits[at] > SURE:
        return np.zeros((0, 3))
    return (np.array([at], dtype=np.float64) + 0.5) * (rule.patch / CELLS_PER_PATCH) - 0.5
