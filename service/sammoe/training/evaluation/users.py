"""Simulated users: where the next click goes, and how carefully a box is drawn.

Clicks follow SAM-Med3D's protocol, one target at a time on the volume's own grid, with two kinds of
user: one who clicks where the error is deepest, one who clicks anywhere in it.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sammoe.training.evaluation.metrics import Mask, Spacing, bounding_slices, dice

Index = tuple[float, float, float]
Box = tuple[Index, Index]
Drawing = Literal["box", "jitter", "loose"]
"""How a box is drawn: exactly, every face off by up to 10 % of the box's side, or up to 20 % too
far out."""

JITTER, LOOSE = 0.1, 0.2


class Session(Protocol):
    """One segmentation in the making."""

    async def click(self, index: Index, positive: bool) -> Mask:
        """Add a click at a source voxel; the whole mask on the volume's grid."""

    async def box(self, lo: Index, hi: Index) -> Mask:
        """Start from a box, both corners inside it; the whole mask."""

    def reachable(self, shape: tuple[int, ...]) -> Mask:
        """Where the next click may lie: everywhere at first, then what the window shows."""


@dataclass(frozen=True)
class User:
    """How the simulated user chooses.

    Parameters
    ----------
    careful
        True: the deepest voxel of the larger error. False: any voxel of the error.
    clicks
        How many.
    """

    careful: bool
    clicks: int = 3


async def interact(
    session: Session,
    target: Mask,
    spacing: Spacing,
    user: User,
    rng: np.random.Generator,
) -> list[float]:
    """Dice after each click of a user, the first one always into the target.

    Parameters
    ----------
    target
        bool, the volume's grid.
    spacing
        Of that grid, mm.
    """
    shown = np.zeros_like(target)
    scores = []
    for _ in range(user.clicks):
        reach = session.reachable(target.shape)
        index, positive = next_click(shown, target, reach, spacing, rng, careful=user.careful)
        shown = await session.click(index, positive)
        scores.append(dice(shown, target))
    return scores


def next_click(
    shown: Mask,
    target: Mask,
    reach: Mask,
    spacing: Spacing,
    rng: np.random.Generator,
    *,
    careful: bool,
) -> tuple[Index, bool]:
    """Where a user clicks next, and whether that click is positive.

    Parameters
    ----------
    shown
        The mask so far, bool [i, j, k]; empty before the first click.
    target
        The mask wanted.
    reach
        What the window shows. A mask that was followed may have led it away from the target.
    spacing
        Of the grid, mm.
    careful
        See `User`. Without any error left in reach, the click goes into the target; where none of
        that is in reach, to the error elsewhere, or the target: another window opens there.
    """
    wrong = shown ^ target
    regions = wrong & reach, target & reach, wrong, target
    error = next(region for region in regions if region.any())
    index = _deepest(error, target, spacing) if careful else anywhere(error, rng)
    return index, bool(target[tuple(int(i) for i in index)])


async def box_score(session: Session, target: Mask) -> float:
    """Dice of the mask that the target's exact bounding box gives."""
    lo, hi = bounding_box(target)
    return dice(await session.box(lo, hi), target)


def filled_box_score(target: Mask) -> float:
    """Dice of the box itself, taken for the mask: what a box prompt knows without looking."""
    filled = np.zeros_like(target)
    filled[bounding_slices(target)] = True
    return dice(filled, target)


def bounding_box(target: Mask) -> Box:
    """First and last voxel index of a mask."""
    x, y, z = ((float(part.start), float(part.stop - 1)) for part in bounding_slices(target))
    return (x[0], y[0], z[0]), (x[1], y[1], z[1])


def draw_box(target: Mask, drawing: Drawing, rng: np.random.Generator) -> Box:
    """A target's box as a user draws it: first and last corner in voxel index, in the volume."""
    lo, hi = np.array(bounding_box(target))
    if drawing != "box":
        low, high = (-JITTER, JITTER) if drawing == "jitter" else (0.0, LOOSE)
        outwards = rng.uniform(low, high, (2, 3)) * (hi - lo + 1)
        lo, hi = np.sort([lo - outwards[0], hi + outwards[1]], axis=0)
        lo, hi = np.clip([lo, hi], -0.5, np.array(target.shape) - 0.5)
    return _triple(lo), _triple(hi)


def rng_of(*words: object) -> np.random.Generator:
    """Random numbers that are a function of these words alone."""
    digest = hashlib.sha256("/".join(map(str, words)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def _deepest(error: Mask, target: Mask, spacing: Spacing) -> Index:
    part = bounding_slices(error)
    best, where = -1.0, np.zeros(3, int)
    for kind in (error[part] & target[part], error[part] & ~target[part]):
        depth = ndimage.distance_transform_edt(np.pad(kind, 1), sampling=spacing)
        at = np.unravel_index(int(depth.argmax()), depth.shape)
        if depth[at] > best:
            best, where = float(depth[at]), np.array(at) - 1
    return _triple(where + [side.start for side in part])


def anywhere(error: Mask, rng: np.random.Generator) -> Index:
    """A voxel of a mask, each as likely as any other."""
    part = bounding_slices(error)
    inner = np.argwhere(error[part])
    return _triple(inner[rng.integers(len(inner))] + [side.start for side in part])


def _triple(row: NDArray[np.floating] | NDArray[np.integer]) -> Index:
    x, y, z = (float(value) for value in row)
    return x, y, z
