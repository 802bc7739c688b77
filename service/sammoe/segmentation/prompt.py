"""What a user points at, checked and brought to the volume's own voxel index.

Rules for points: coordinates are finite and inside of the volume, that is within half a voxel of
a voxel centre; a point at exactly the place of an earlier one replaces it, whatever its label; at
most `MAX_POINTS` in all clicks of a segmentation together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sammoe.errors import OnlyNegative, PointOutside, PromptEmpty, PromptInvalid, TooLarge
from sammoe.store import PromptRecord
from sammoe.volume.geometry import Geometry

MAX_POINTS = 1024

Space = Literal["voxel", "ras", "lps"]
"""Voxel index of the volume as added (centres are integers), or mm in RAS+ or LPS+."""

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Point:
    """A click: on the structure (positive) or beside it."""

    x: float
    y: float
    z: float
    positive: bool = True


@dataclass(frozen=True)
class Prompt:
    """What one request adds.

    Attributes
    ----------
    points
        Clicks.
    box
        Two opposite corners. In voxel index they are the first and the last voxel inside; where
        the volume lies oblique to the millimetres, the voxels' box around the given one is taken.
        One that is flat, as drawn in a single slice, is taken for the middle slice of a box as
        deep as its sides are long on average.
    space
        Of points and box.
    """

    points: tuple[Point, ...] = ()
    box: tuple[Triple, Triple] | None = None
    space: Space = "voxel"

    def to_index(self, geometry: Geometry) -> PromptRecord:
        """Bring the prompt to source voxel index.

        Raises
        ------
        PromptInvalid
            A coordinate is not finite, or the box's corners are in the wrong order; the pointer
            says where.
        PointOutside
            A point or corner lies outside of the volume.
        TooLarge
            More than `MAX_POINTS` points.
        """
        if len(self.points) > MAX_POINTS:
            raise _too_many()
        points = self._place([(p.x, p.y, p.z) for p in self.points], geometry, "/points")
        return PromptRecord(
            points=points,
            labels=tuple(int(point.positive) for point in self.points),
            box=None if self.box is None else self._box(self.box, geometry),
        )

    def _box(self, box: tuple[Triple, Triple], geometry: Geometry) -> tuple[Triple, Triple]:
        self._place(box, geometry, "/box")
        if any(first > last for first, last in zip(*box, strict=True)):
            raise PromptInvalid(
                "The box's first corner must not exceed its last one on any axis.", pointer="/box"
            )
        corners = np.array(np.meshgrid(*zip(*box, strict=True))).reshape(3, 8).T
        index = _to_index(corners, self.space, geometry)
        limit = np.asarray(geometry.shape) - 0.5
        deep = _deepened(index.min(axis=0), index.max(axis=0), geometry)
        lo, hi = np.clip(deep, -0.5, limit)
        return _triple(lo), _triple(hi)

    def _place(
        self, places: Sequence[Triple], geometry: Geometry, pointer: str
    ) -> tuple[Triple, ...]:
        for number, place in enumerate(places):
            if not all(math.isfinite(value) for value in place):
                raise PromptInvalid(
                    "Coordinates must be finite numbers.", pointer=f"{pointer}/{number}"
                )
        index = _to_index(np.array(places, dtype=np.float64).reshape(-1, 3), self.space, geometry)
        # Written so that NaN, the difference of two overflows, counts as outside.
        inside = ((index >= -0.5) & (index <= np.asarray(geometry.shape) - 0.5)).all(axis=1)
        if not inside.all():
            number = int(inside.argmin())
            raise PointOutside(
                f"This place is outside of the volume of {geometry.shape} voxels; the request"
                f" gives coordinates as {self.space!r}.",
                pointer=f"{pointer}/{number}",
            )
        return tuple(_triple(row) for row in index)


def merge(earlier: PromptRecord | None, new: PromptRecord) -> PromptRecord:
    """Join a request's prompt to those before it; a new box replaces the old one.

    Parameters
    ----------
    earlier
        Of the parent; None for a new segmentation.

    Raises
    ------
    PromptEmpty
        A new segmentation without any prompt.
    OnlyNegative
        A new segmentation with neither a positive point nor a box.
    TooLarge
        More than `MAX_POINTS` points in all.
    """
    before = earlier or PromptRecord()
    # A dict keeps the first place of a key: drop it, so that order is that of the last click.
    clicks: dict[Triple, Literal[0, 1]] = {}
    for point, label in zip(before.points + new.points, before.labels + new.labels, strict=True):
        clicks.pop(point, None)
        clicks[point] = label
    if len(clicks) > MAX_POINTS:
        raise _too_many()
    box = new.box or before.box
    if earlier is None and box is None:
        if not clicks:
            raise PromptEmpty("Give at least one point or a box.", pointer="/points")
        if not any(clicks.values()):
            raise OnlyNegative(
                "Negative points take away from a mask: add a positive point or a box, or refine"
                " an earlier segmentation.",
                pointer="/points",
            )
    return PromptRecord(points=tuple(clicks), labels=tuple(clicks.values()), box=box)


def _deepened(
    lo: NDArray[np.float64], hi: NDArray[np.float64], geometry: Geometry
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A box that has a slice's thickness along one axis, with a depth; any other as it is."""
    thin = np.flatnonzero(hi - lo < 1)
    if len(thin) != 1:
        return lo, hi
    axis, spacing = int(thin[0]), np.asarray(geometry.spacing)
    sides = np.delete((hi - lo + 1) * spacing, axis)
    grow = max(0.0, (sides.mean() / spacing[axis] - 1 - (hi - lo)[axis]) / 2)
    by = np.zeros(3)
    by[axis] = grow
    return lo - by, hi + by


def _to_index(places: NDArray[np.float64], space: Space, geometry: Geometry) -> NDArray[np.float64]:
    if space == "voxel":
        return places
    ras = places * (-1, -1, 1) if space == "lps" else places
    with np.errstate(over="ignore", invalid="ignore"):
        return geometry.ras_to_index(ras)


def _triple(row: NDArray[np.float64]) -> Triple:
    x, y, z = row.tolist()
    return x, y, z


def _too_many() -> TooLarge:
    return TooLarge(f"A segmentation takes at most {MAX_POINTS} points.", pointer="/points")
