"""Where a mask goes on beyond the windows that were looked at: pure functions.

A mask touches a window's face where its outermost cells are in the mask and nothing is known of
the cells beside them. Each place where it does so on more than `TOUCHING` cells asks for a
neighbour: half a window further along that axis, and along the others moved by at most a lattice
step towards the middle of that place. A box asks for what it covers itself, whatever the mask does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label

from sammoe.segmentation.planning import Places
from sammoe.volume.field import CELLS_PER_PATCH, Field, aligned
from sammoe.volume.window import Window, WindowRule

TOUCHING: Final = 4
"""A mask goes on where it touches a face on more cells than this, side by side."""

SURE: Final = 0.5
"""Mean logit (a probability of .62) of the cells of a contact above which its middle is clicked."""

AGREEING: Final = 0.7
"""Dice of a neighbour's answer with what was known in their overlap, below which it is dropped."""


@dataclass(frozen=True, eq=False)
class Neighbour:
    """A window to look at next.

    Attributes
    ----------
    window
        On the lattice of the field's cells.
    size
        Cells on which the mask touches the face between; 0 where only the box goes on.
    hints
        Positive clicks, window voxels float64 [N, 3]: the middle of each such place that is sure.
    """

    window: Window
    size: int
    hints: Places


def neighbours(
    field: Field,
    looked: Sequence[Window],
    grid: tuple[int, int, int],
    rule: WindowRule,
    box: tuple[Places, Places] | None = None,
) -> list[Neighbour]:
    """Windows in which the mask goes on, the largest contact first; equal ones by their place.

    Parameters
    ----------
    field
        All that is known.
    looked
        The windows whose faces are looked at.
    grid
        Shape of the model grid.
    box
        First and last corner of the user's box, model index [3]: nothing beyond it is looked at.
    """
    found: dict[tuple[int, int, int], list[Neighbour]] = {}
    for window in looked:
        for axis in range(3):
            for step in (-1, 1):
                for one in _beyond(field, window, axis, step, grid, rule, box):
                    found.setdefault(one.window.start, []).append(one)
    merged = [_merged(group) for group in found.values()]
    return sorted(merged, key=lambda one: (-one.size, one.window.start))


def agrees(field: Field, window: Window, logits: NDArray[np.float32]) -> bool:
    """Whether a neighbour's answer goes on with what is known: see `AGREEING`."""
    known = field.within(window, len(logits))
    where = ~np.isnan(known)
    ours, theirs = known[where] > 0, logits[where] > 0
    total = int(np.count_nonzero(ours)) + int(np.count_nonzero(theirs))
    return total == 0 or 2 * int(np.count_nonzero(ours & theirs)) >= AGREEING * total


def goes_on(field: Field, grid: tuple[int, int, int]) -> bool:
    """Whether the mask has a cell beside which, within the volume, nothing is known."""
    inside, unknown = field.values > 0, ~field.known
    for axis in range(3):
        place = field.start[axis] + (np.arange(-1, inside.shape[axis] + 1) + 0.5) * (
            field.patch / CELLS_PER_PATCH
        )
        there = ((place > 0) & (place < grid[axis])).reshape(
            [-1 if a == axis else 1 for a in range(3)]
        )
        padding = [(int(a == axis),) * 2 for a in range(3)]
        beside = np.pad(unknown, padding, constant_values=True) & there
        for first in (0, 2):
            shifted = np.take(beside, np.arange(first, first + inside.shape[axis]), axis)
            if (inside & shifted).any():
                return True
    return False


def lacks(field: Field, grid: tuple[int, int, int], lo: Places, hi: Places) -> bool:
    """Whether any of a box (first and last model index [3]) within the volume is unknown."""
    unknown = ~field.known
    for axis in range(3):
        count = unknown.shape[axis]
        edge = field.start[axis] + np.arange(count + 1) * field.patch / CELLS_PER_PATCH
        first, last = max(0.0, lo[axis]), min(float(grid[axis] - 1), hi[axis])
        if first < edge[0] - 0.5 or last > edge[-1] - 0.5:
            return True
        unknown = np.compress((edge[1:] > first) & (edge[:-1] < last + 0.5), unknown, axis)
    return bool(unknown.any())


def _beyond(
    field: Field,
    window: Window,
    axis: int,
    step: int,
    grid: tuple[int, int, int],
    rule: WindowRule,
    box: tuple[Places, Places] | None,
) -> list[Neighbour]:
    """Neighbours across one face."""
    if box is not None and not _box_goes_on(window, axis, step, box, rule):
        return []
    logits, contact = _contact(field, window, axis, step, grid)
    places, count = label(contact)
    sizes = np.bincount(places.ravel(), minlength=count + 1)
    found = []
    for number in (np.flatnonzero(sizes[1:] > TOUCHING) + 1).tolist():
        middle = _middle(places == number)
        hint = np.insert(middle.astype(np.float64), axis, rule.cells - 0.5 if step > 0 else -0.5)
        # From cells to model voxels; across the face, the hint lies on it.
        hint = (hint + 0.5) * (rule.patch / CELLS_PER_PATCH) - 0.5 + window.start
        shifts = _shifts(window, hint, axis, step, rule)
        neighbour = aligned(np.add(window.start, shifts).tolist(), window, rule.patch, grid)
        hints = hint[None] - neighbour.start
        if logits[places == number].mean() <= SURE:
            hints = hints[:0]
        found.append(Neighbour(neighbour, int(sizes[number]), hints))
    if box is not None and not found:
        start = list(window.start)
        start[axis] += step * (window.side // 2)
        found = [Neighbour(aligned(start, window, rule.patch, grid), 0, np.zeros((0, 3)))]
    return [one for one in found if _shows_more(field, one.window, grid, box, rule)]


def _contact(
    field: Field, window: Window, axis: int, step: int, grid: tuple[int, int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Logits [L, L] of a face's cells, and which are in the mask with nothing known beside them."""
    part = list(field.region(window))
    edge = part[axis].stop - 1 if step > 0 else part[axis].start
    across = tuple(p for a, p in enumerate(part) if a != axis)
    logits: NDArray[np.float32] = np.take(field.values, edge, axis)[across]
    mask = logits > 0
    beyond = edge + step
    place = field.start[axis] + (beyond + 0.5) * field.patch / CELLS_PER_PATCH
    if not 0 < place < grid[axis]:
        return logits, np.zeros_like(mask)
    if 0 <= beyond < field.values.shape[axis]:
        beside = np.take(field.values, beyond, axis)
        mask = mask & np.isnan(beside[across])
    return logits, mask


def _middle(place: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The cell of a face farthest from the rim of one place on it, the first of equals; int [2]."""
    depth = distance_transform_edt(np.pad(place, 1))[1:-1, 1:-1]
    return np.array(np.unravel_index(int(depth.argmax()), depth.shape))


def _shifts(window: Window, hint: Places, axis: int, step: int, rule: WindowRule) -> list[int]:
    """How far to move the window along each axis, voxels."""
    stride = rule.step(window.spacing)
    reach = max(1, window.side // 4 // stride)
    off = (hint - window.start + 0.5 - window.side / 2) / stride
    shifts: list[int] = (np.clip(np.rint(off), -reach, reach).astype(int) * stride).tolist()
    shifts[axis] = step * (window.side // 2)
    return shifts


def _shows_more(
    field: Field,
    window: Window,
    grid: tuple[int, int, int],
    box: tuple[Places, Places] | None,
    rule: WindowRule,
) -> bool:
    """Whether there are cells in the window, the volume and the box of which nothing is known."""
    unknown = np.isnan(field.within(window, rule.cells))
    for axis in range(3):
        place = window.start[axis] + (np.arange(rule.cells) + 0.5) * rule.patch / CELLS_PER_PATCH
        there = (place > 0) & (place < grid[axis])
        if box is not None:
            there &= (place > box[0][axis]) & (place < box[1][axis] + 1)
        unknown = unknown & there.reshape([-1 if a == axis else 1 for a in range(3)])
    return bool(unknown.any())


def _box_goes_on(
    window: Window, axis: int, step: int, box: tuple[Places, Places], rule: WindowRule
) -> bool:
    """Whether a box ends more than a cell beyond a face."""
    cell = rule.patch / CELLS_PER_PATCH
    if step > 0:
        return bool(box[1][axis] + 0.5 > window.start[axis] + window.side - 0.5 + cell)
    return bool(box[0][axis] - 0.5 < window.start[axis] - 0.5 - cell)


def _merged(group: Sequence[Neighbour]) -> Neighbour:
    """One neighbour of several contacts; its hints in an order that does not tell how they came."""
    hints = np.unique(np.concatenate([one.hints for one in group]), axis=0)
    return Neighbour(group[0].window, sum(one.size for one in group), hints)
