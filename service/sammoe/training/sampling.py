"""One training image with its prompts, its window drawn by the serving code."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sammoe.errors import NoForeground
from sammoe.training.data.labelmap import LabelMap
from sammoe.training.data.noise import smooth_noise
from sammoe.training.data.render import render
from sammoe.volume.crop import normalise
from sammoe.volume.volume import Modality
from sammoe.volume.window import Window, WindowRule, window_at

Cube = NDArray[np.float32]
_TURN = 0.25  # radians: standard deviation of the random rotation about each axis
_STRETCH = 0.10  # standard deviation of the random scale per axis
_WARP = 0.02  # displacement of the elastic part, share of the window
_OTHER_CONTRAST = 0.15  # share of torsos rendered as MR
_PERMUTED, _FLIPPED = 0.15, 0.2  # serving knows the axes: most samples keep them
_SMALLEST_CELLS = 16  # of a structure in the window: less can hardly be painted
_BOX_PRIOR = 0.45  # share of the window that a typical target's longest side takes


@dataclass(frozen=True, eq=False)
class Sample:
    """What the network sees and should answer.

    Parameters
    ----------
    image
        float32 [S, S, S], normalised by the serving code.
    targets
        float32 [P, L, L, L] occupancy of each prompt's structure at the low-res side.
    clicks
        float32 [P, 3] first positive click of each prompt, window voxels.
    boxes
        float32 [P, 6] first and last corner of each structure's part in the window, voxels.
    """

    image: Cube
    targets: Cube
    clicks: Cube
    boxes: Cube


def occupancy(mask: NDArray[Any], cells: int) -> Cube:
    """bool, or the share that is set, [S, S, S] -> share of each of the cells^3 cells."""
    k = mask.shape[0] // cells
    blocks = mask.reshape(cells, k, cells, k, cells, k)
    return np.asarray(blocks.mean(axis=(1, 3, 5), dtype=np.float32))


def box_of(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """First and last voxel index of a mask per axis: [6]."""
    spans = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != k))) for k in range(3)]
    return np.array([s[0] for s in spans] + [s[-1] for s in spans], dtype=np.float32)


def click_in(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    """A first click: half of the time uniform, half of the time near the middle of the mask."""
    inside = np.argwhere(mask)
    chosen = inside[rng.integers(len(inside), size=48)]
    place = chosen[0]
    if rng.random() < 0.5:
        place = chosen[np.square(chosen - chosen.mean(axis=0)).sum(axis=1).argmin()]
    return np.asarray(place + rng.uniform(-0.5, 0.5, 3), dtype=np.float32)


class LabelMapSampler:
    """Draws samples from label maps: synthetic scans with known structures."""

    def __init__(self, maps: Sequence[LabelMap], rule: WindowRule, prompts: int) -> None:
        self.maps = maps
        self.rule = rule
        self.prompts = prompts

    def draw(self, rng: np.random.Generator) -> Sample | None:
        """One sample, or None where the draw came out empty."""
        source = self.maps[int(rng.integers(len(self.maps)))]
        target = source.draw_target(source.labels, rng, smallest=60, largest=1.0)
        if target is None:
            return None
        voxels = np.flatnonzero(source.mask(source.labels, target))
        index = np.stack(
            np.unravel_index(voxels[rng.integers(len(voxels), size=64)], source.labels.shape), 1
        )
        extent = float(np.ptp(index, axis=0).max() + 1) * source.spacing_mm
        spacing = self._spacing(extent, rng)
        centre = index[0] if rng.random() < 0.5 else (index.min(0) + index.max(0)) / 2
        window, labels = self._crop(source, centre, spacing, rng)
        labels, inside = reorient([labels, _inside(window, source, spacing)], rng)
        modality = self._modality(source, rng)
        image = render(labels, source, rng, modality, voxel_mm=spacing)
        if modality is Modality.CT:
            image = np.clip(image, *self.rule.ct_clamp)
        try:
            image = normalise(np.where(inside, image, np.float32(0)), self.rule)
        except NoForeground:
            return None
        return self._prompted(image, labels, source, target, rng)

    def _spacing(self, extent_mm: float, rng: np.random.Generator) -> float:
        spacings = np.array(self.rule.spacings)
        share = extent_mm / (spacings * self.rule.side)
        fit = np.exp(-np.square(np.log(share / _BOX_PRIOR)) / (2 * 0.5**2)) + 0.03
        return float(rng.choice(spacings, p=fit / fit.sum()))

    def _modality(self, source: LabelMap, rng: np.random.Generator) -> Modality:
        if source.tissue is None or rng.random() < _OTHER_CONTRAST:
            return Modality.MR
        return Modality.CT

    def _crop(
        self,
        source: LabelMap,
        centre: NDArray[np.float64],
        spacing: float,
        rng: np.random.Generator,
    ) -> tuple[Window, NDArray[np.uint8]]:
        """Labels of a window through a random affine and elastic deformation about its middle."""
        side, ratio = self.rule.side, spacing / source.spacing_mm
        size = _grid_size(source, spacing)
        at = (centre + 0.5) / ratio - 0.5
        window = window_at(size, (at[0], at[1], at[2]), spacing, self.rule)
        axes = [(np.arange(side) + s + 0.5) * ratio - 0.5 for s in window.start]
        middle = np.array([a[side // 2] for a in axes])
        linear = _rotation(rng) @ np.diag(np.exp(_STRETCH * rng.standard_normal(3)))
        index = []
        for k in range(3):
            along = [linear[k, j] * (axes[j] - middle[j]) for j in range(3)]
            base = along[0][:, None, None] + along[1][None, :, None] + along[2][None, None, :]
            warp = smooth_noise((side, side, side), side / 4, rng) * (_WARP * side * ratio)
            where = np.rint(base + warp + middle[k]).astype(np.int32)
            index.append(np.clip(where, -1, source.labels.shape[k]))
        padded = np.pad(source.labels, 1)
        return window, padded[index[0] + 1, index[1] + 1, index[2] + 1]

    def _prompted(
        self,
        image: Cube,
        labels: NDArray[np.uint8],
        source: LabelMap,
        target: int,
        rng: np.random.Generator,
    ) -> Sample | None:
        masks, smallest = [], _SMALLEST_CELLS * (self.rule.side // self.rule.cells) ** 3
        first = source.mask(labels, target)
        if first.sum() >= smallest and first.mean() < 0.7:
            masks.append(first)
        while len(masks) < self.prompts:
            other = source.draw_target(labels, rng, smallest=smallest)
            if other is None:
                return None
            masks.append(source.mask(labels, other))
        return prompted(image, masks, self.rule.cells, rng)


def prompted(
    image: Cube, masks: Sequence[NDArray[np.bool_]], cells: int, rng: np.random.Generator
) -> Sample:
    """A sample from an image and the masks that its prompts mean."""
    return Sample(
        image,
        np.stack([occupancy(m, cells) for m in masks]),
        np.stack([click_in(m, rng) for m in masks]),
        np.stack([box_of(m) for m in masks]),
    )


def _grid_size(source: LabelMap, spacing: float) -> tuple[int, int, int]:
    x, y, z = (max(1, round(n * source.spacing_mm / spacing)) for n in source.labels.shape)
    return x, y, z


def _inside(window: Window, source: LabelMap, spacing: float) -> NDArray[np.bool_]:
    """Where the window lies within the scan: outside of it the serving code sees zeros."""
    spans = [
        (np.arange(window.side) + start >= 0) & (np.arange(window.side) + start < size)
        for start, size in zip(window.start, _grid_size(source, spacing), strict=True)
    ]
    return spans[0][:, None, None] & spans[1][None, :, None] & spans[2][None, None, :]


def reorient(cubes: Sequence[NDArray[Any]], rng: np.random.Generator) -> list[NDArray[Any]]:
    """All cubes alike: axes permuted, and each flipped, with small probabilities."""
    order = rng.permutation(3) if rng.random() < _PERMUTED else np.arange(3)
    flipped = rng.random(3) < _FLIPPED
    flips = tuple(slice(None, None, -1) if flip else slice(None) for flip in flipped)
    return [np.ascontiguousarray(cube.transpose(order)[flips]) for cube in cubes]


def _rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    turn = np.eye(3)
    for axis in range(3):
        angle = _TURN * rng.standard_normal()
        i, j = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[i, i] = step[j, j] = np.cos(angle)
        step[i, j], step[j, i] = -np.sin(angle), np.sin(angle)
        turn = turn @ step
    return turn
