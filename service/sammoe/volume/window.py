"""Model grid, windows on it, and the way between source index and window voxel.

The *model grid* of a volume lies along the volume's own axes in canonical order (nothing is
rotated), is isotropic at one of the bundle's spacings, and shares the outer edge of the first
canonical voxel: ``(m + .5) * spacing = (c + .5) * source spacing``. A *window* is a cube of
``side`` voxels on it; it may overhang the volume, and what lies outside is 0.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sammoe.volume.geometry import Geometry
from sammoe.volume.volume import Modality


@dataclass(frozen=True)
class WindowRule:
    """How a bundle wants its windows: all of it comes from the manifest.

    Parameters
    ----------
    side, patch
        Window side and patch side in voxels; ``side`` is a multiple of ``patch``.
    spacings
        Model-grid spacings in mm, ascending.
    default_spacing
        Spacing of a first point by modality (``"CT"``, ``"MR"``, ``"unknown"``), in mm.
    snap_mm
        Lattice step in mm for each of ``spacings``; None means a quarter of the window.
    normalisation
        Whether mean and deviation are of the window's voxels > 0 or of the whole volume's.
    ct_clamp
        Lowest and highest Hounsfield unit kept.
    antialias
        Whether source voxels are averaged over a model voxel where the model grid is coarser.
    version
        Preprocessing version: part of every embedding's key.
    coarse
        A first click at most this share of the side from the middle of a window of the coarse
        sub-lattice, along each axis, takes that window. Those are half a window apart, so with 1/4
        all clicks share them, and with 0 none.
    """

    side: int
    patch: int
    spacings: tuple[float, ...]
    default_spacing: Mapping[str, float]
    snap_mm: tuple[float, ...] | None = None
    normalisation: Literal["window", "volume"] = "window"
    ct_clamp: tuple[float, float] = (-1000.0, 1000.0)
    antialias: bool = False
    version: int = 1
    coarse: float = 0.0

    def __post_init__(self) -> None:
        if self.patch < 1 or self.side < 1 or self.side % self.patch:
            raise ValueError(f"side {self.side} must be a positive multiple of patch {self.patch}")
        if not self.spacings or list(self.spacings) != sorted({*self.spacings}):
            raise ValueError(f"spacings must ascend, not {self.spacings}")
        if self.spacings[0] <= 0:
            raise ValueError(f"spacings must be positive, not {self.spacings}")
        for modality in Modality:
            if self.default_spacing.get(modality.value) not in self.spacings:
                raise ValueError(f"default_spacing[{modality.value!r}] must be one of spacings")
        if self.snap_mm is not None and (
            len(self.snap_mm) != len(self.spacings) or min(self.snap_mm) <= 0
        ):
            raise ValueError("snap_mm must give one positive step for each spacing")
        if not 0 <= self.coarse <= 1 / 4:
            raise ValueError(f"coarse must be within 0 .. 1/4, not {self.coarse}")
        if not self.ct_clamp[0] < self.ct_clamp[1]:
            raise ValueError(f"ct_clamp must be (low, high), not {self.ct_clamp}")

    @property
    def cells(self) -> int:
        """Side of the decoder's low-resolution logits: 4 cells a patch."""
        return 4 * self.side // self.patch

    def step(self, spacing: float) -> int:
        """Lattice step in model voxels at ``spacing``, at least 1."""
        if self.snap_mm is None:
            return max(1, self.side // 4)
        return max(1, round(self.snap_mm[self.spacings.index(spacing)] / spacing))


@dataclass(frozen=True)
class Window:
    """A cube on the model grid.

    Attributes
    ----------
    spacing
        Of the model grid, mm.
    start
        Its first voxel on the model grid, canonical axis order; negative where it overhangs.
    side
        Voxels along each axis.
    """

    spacing: float
    start: tuple[int, int, int]
    side: int

    def key(self) -> str:
        """Text that is equal for equal windows and for no others."""
        return f"{self.spacing!r}mm@{self.start[0]},{self.start[1]},{self.start[2]}+{self.side}"


@dataclass(frozen=True)
class GridMap:
    """Linear map between source index and model index, axis by axis.

    Attributes
    ----------
    shape
        Model grid's size along the canonical axes: it covers every source voxel's centre.
    axes, flips
        As in `AxisMap`.
    scale
        Source spacing over model spacing, per canonical axis.
    source_shape
        The volume's shape, in source axis order.
    """

    shape: tuple[int, int, int]
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    scale: tuple[float, float, float]
    source_shape: tuple[int, int, int]

    def axis_to_model(self, axis: int, index: NDArray[Any]) -> NDArray[np.float64]:
        """Map indices along the source axis of canonical ``axis`` to model indices."""
        canonical = np.asarray(index, dtype=np.float64)
        if self.flips[axis]:
            canonical = self.source_shape[self.axes[axis]] - 1 - canonical
        return (canonical + 0.5) * self.scale[axis] - 0.5

    def axis_to_source(self, axis: int, model: NDArray[Any]) -> NDArray[np.float64]:
        """Map model indices along canonical ``axis`` to indices along its source axis."""
        canonical = (np.asarray(model, dtype=np.float64) + 0.5) / self.scale[axis] - 0.5
        if self.flips[axis]:
            canonical = self.source_shape[self.axes[axis]] - 1 - canonical
        return canonical

    def to_model(self, index: NDArray[Any]) -> NDArray[np.float64]:
        """Map source indices [N, 3] to model indices [N, 3] (canonical axis order)."""
        index = np.asarray(index, dtype=np.float64)
        return np.stack([self.axis_to_model(a, index[:, self.axes[a]]) for a in range(3)], axis=1)

    def to_source(self, model: NDArray[Any]) -> NDArray[np.float64]:
        """Map model indices [N, 3] to source indices [N, 3]."""
        model = np.asarray(model, dtype=np.float64)
        index = np.empty(model.shape)
        for a in range(3):
            index[:, self.axes[a]] = self.axis_to_source(a, model[:, a])
        return index


def model_grid(geometry: Geometry, spacing: float) -> GridMap:
    """Lay the model grid of ``spacing`` mm over a volume."""
    axis_map = geometry.canonical()
    scale = [geometry.spacing[source] / spacing for source in axis_map.axes]
    # The small constant keeps 100 * (1.5 / 1.5) from becoming 101 by rounding.
    shape = [
        max(1, math.ceil(geometry.shape[source] * factor - 1e-6))
        for source, factor in zip(axis_map.axes, scale, strict=True)
    ]
    return GridMap(
        shape=(shape[0], shape[1], shape[2]),
        axes=axis_map.axes,
        flips=axis_map.flips,
        scale=(scale[0], scale[1], scale[2]),
        source_shape=geometry.shape,
    )


def window_at(
    size: Sequence[int],
    centre: Sequence[float],
    spacing: float,
    rule: WindowRule,
    step: int | None = None,
) -> Window:
    """Window of the lattice that is nearest to being centred on a model index.

    Starts are multiples of the lattice step, then clamped so that the window does not leave a
    volume that it fits in; along an axis shorter than the window, the volume is centred in it.
    A pure function of its arguments: nearby first clicks share one window, hence one embedding.

    Parameters
    ----------
    size
        Shape of the model grid.
    centre
        Model index (voxel centres are integers) along the canonical axes.
    spacing
        One of ``rule.spacings``, mm.
    step
        In place of the rule's lattice step, voxels.
    """
    side, step = rule.side, step or rule.step(spacing)
    start = []
    for n, c in zip(size, centre, strict=True):
        if n >= side:
            nearest = math.floor((c + 0.5 - side / 2) / step + 0.5) * step
            start.append(min(max(nearest, 0), n - side))
        else:
            start.append(-((side - n) // 2))
    return Window(spacing, (start[0], start[1], start[2]), side)


def window_for_point(
    geometry: Geometry, index: Sequence[float], modality: Modality, rule: WindowRule
) -> Window:
    """Window of a first click at a source index, at the modality's default spacing.

    One of the coarse sub-lattice where the click lies well inside of it: see `WindowRule.coarse`.
    """
    spacing = rule.default_spacing[modality.value]
    fine = _centred(geometry, np.asarray([index]), spacing, rule)
    if not rule.coarse:
        return fine
    grid = model_grid(geometry, spacing)
    centre = grid.to_model(np.asarray([index]))[0]
    coarse = window_at(grid.shape, centre.tolist(), spacing, rule, max(1, rule.side // 2))
    off = np.abs(centre + 0.5 - np.add(coarse.start, rule.side / 2))
    # Where both end with the volume, neither is nearer.
    same = np.equal(coarse.start, fine.start)
    return coarse if (same | (off <= rule.coarse * rule.side)).all() else fine


def window_for_box(
    geometry: Geometry,
    lo: Sequence[float],
    hi: Sequence[float],
    modality: Modality,
    rule: WindowRule,
) -> Window:
    """Window of a box: the smallest spacing whose window holds it, else the largest spacing.

    Parameters
    ----------
    lo, hi
        Opposite corners of the box, source index; both must lie inside of the window.
    modality
        Without effect, for a box says its scale by itself; taken so that a caller can treat
        points and boxes alike.
    """
    corners = np.asarray([lo, hi], dtype=np.float64)
    for spacing in rule.spacings:
        window = _centred(geometry, corners, spacing, rule)
        inside = source_to_window(geometry, window, corners)
        if inside.min() >= -0.5 and inside.max() <= window.side - 0.5:
            break
    return window


def _centred(
    geometry: Geometry, points: NDArray[np.float64], spacing: float, rule: WindowRule
) -> Window:
    grid = model_grid(geometry, spacing)
    x, y, z = grid.to_model(points).mean(axis=0)
    return window_at(grid.shape, (float(x), float(y), float(z)), spacing, rule)


def source_to_window(
    geometry: Geometry, window: Window, index: NDArray[Any]
) -> NDArray[np.float64]:
    """Map source indices [N, 3] to window voxel coordinates [N, 3] (canonical axis order)."""
    model = model_grid(geometry, window.spacing).to_model(index)
    return np.subtract(model, window.start, dtype=np.float64)
