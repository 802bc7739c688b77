"""Interactive evaluation: a simulated user clicks on a structure until the mask fits.

Protocol of SAM-Med3D's evaluation (one target at a time, Dice on the volume's own grid), with two
kinds of user: one who clicks where the error is deepest, one who clicks anywhere in it.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Index = tuple[float, float, float]


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


def dice(mask: Mask, target: Mask) -> float:
    """2 |A n B| / (|A| + |B|); NaN where both are empty."""
    total = int(mask.sum()) + int(target.sum())
    return 2 * int((mask & target).sum()) / total if total else float("nan")


async def interact(
    session: Session,
    target: Mask,
    spacing: tuple[float, float, float],
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
        error = (shown ^ target) & reach
        if not error.any():
            error = target & reach
        index = _deepest(error, target, spacing) if user.careful else _anywhere(error, rng)
        shown = await session.click(index, bool(target[tuple(int(i) for i in index)]))
        scores.append(dice(shown, target))
    return scores


async def box_score(session: Session, target: Mask) -> float:
    """Dice of the mask that the target's exact bounding box gives."""
    lo, hi = bounding_box(target)
    return dice(await session.box(lo, hi), target)


def filled_box_score(target: Mask) -> float:
    """Dice of the box itself, taken for the mask: what a box prompt knows without looking."""
    lo, hi = bounding_box(target)
    filled = np.zeros_like(target)
    filled[tuple(slice(int(a), int(b) + 1) for a, b in zip(lo, hi, strict=True))] = True
    return dice(filled, target)


def bounding_box(target: Mask) -> tuple[Index, Index]:
    """First and last voxel index of a mask."""
    spans = [
        np.flatnonzero(target.any(axis=tuple(a for a in range(3) if a != k))) for k in range(3)
    ]
    x, y, z = ((float(s[0]), float(s[-1])) for s in spans)
    return (x[0], y[0], z[0]), (x[1], y[1], z[1])


def _deepest(error: Mask, target: Mask, spacing: tuple[float, float, float]) -> Index:
    (x0, y0, z0), (x1, y1, z1) = bounding_box(error)
    corner = np.array([x0, y0, z0]).astype(int)
    part = (slice(int(x0), int(x1) + 1), slice(int(y0), int(y1) + 1), slice(int(z0), int(z1) + 1))
    best, where = -1.0, np.zeros(3, int)
    for kind in (error[part] & target[part], error[part] & ~target[part]):
        depth = ndimage.distance_transform_edt(np.pad(kind, 1), sampling=spacing)
        at = np.unravel_index(int(depth.argmax()), depth.shape)
        if depth[at] > best:
            best, where = float(depth[at]), np.array(at) - 1
    x, y, z = corner + where
    return float(x), float(y), float(z)


def _anywhere(error: Mask, rng: np.random.Generator) -> Index:
    places = np.flatnonzero(error)
    x, y, z = np.unravel_index(int(rng.choice(places)), error.shape)
    return float(x), float(y), float(z)
