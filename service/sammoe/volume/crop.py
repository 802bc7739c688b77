"""Cut a window out of a volume, as the image encoder wants it.

Order of work, as in SAM-Med3D's training: clamp CT, resample to the model grid, fill the outside
with 0, then standardise by mean and unbiased deviation of the voxels > 0 (for CT: HU > 0),
applied to every voxel, the filled ones too.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sammoe.errors import NoForeground
from sammoe.volume.geometry import Geometry
from sammoe.volume.resample import taps
from sammoe.volume.volume import Modality, Volume
from sammoe.volume.window import Window, WindowRule, model_grid

_BLOCK = 1 << 14
_PAD = 16


@dataclass(frozen=True)
class Foreground:
    """Mean and unbiased standard deviation of the voxels > 0."""

    mean: float
    std: float


def foreground(image: NDArray[Any], clamp: tuple[float, float] | None = None) -> Foreground:
    """Measure the voxels > 0 of an image of any shape, clamped before if ``clamp`` is given.

    Raises
    ------
    NoForeground
        Fewer than two voxels are > 0, those are all equal, or a voxel is NaN or Inf.
    """
    count, total, squares = 0, 0.0, 0.0
    # Inf and NaN come out as NaN, which is refused below; no warning is needed.
    with np.errstate(invalid="ignore", over="ignore"):
        for block, inside in _blocks(image, clamp):
            count += int(np.count_nonzero(inside))
            total += float((block * inside).sum())
        mean = total / max(count, 1)
        # A second pass: the sum of squares alone would cancel.
        for block, inside in _blocks(image, clamp):
            squares += float(np.square((block - mean) * inside).sum())
    std = math.sqrt(squares / max(count - 1, 1))
    # Rounding gives equal voxels a deviation of some 1e-8 of their mean.
    if math.isfinite(std) and std > 1e-6 * mean:
        return Foreground(mean, std)
    raise NoForeground(
        "Nothing to see here: the voxels above 0 are missing, all equal or not finite. "
        "Point at a place inside of the body."
    )


def _blocks(
    image: NDArray[Any], clamp: tuple[float, float] | None
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Voxels as float64 and which of them are > 0, in pieces that stay in the processor's cache."""
    flat = image.ravel(order="K")
    for at in range(0, flat.size, _BLOCK):
        block = flat[at : at + _BLOCK].astype(np.float64)
        if clamp is not None:
            np.clip(block, *clamp, out=block)
        yield block, block > 0


def normalise(
    image: NDArray[Any], rule: WindowRule, *, whole: Foreground | None = None
) -> NDArray[np.float32]:
    """Standardise an image: ``(x - mean) / std`` with the moments of its voxels > 0.

    Parameters
    ----------
    image
        Any shape; resampled, clamped if CT, 0 outside of the volume.
    rule
        With ``normalisation="volume"``, the moments are those of ``whole``.
    whole
        The whole volume's foreground; needed for ``normalisation="volume"`` only.

    Raises
    ------
    NoForeground
        No voxel is > 0, or those that are do not vary.
    """
    if rule.normalisation == "window":
        moments = foreground(image)
    elif whole is not None:
        moments = whole
    else:
        raise ValueError('normalisation="volume" needs the foreground of the whole volume')
    # order="C": the crop comes in its file's axis order; this is where it is laid out anew.
    scaled: NDArray[np.float32] = np.multiply(
        image, np.float32(1 / moments.std), dtype=np.float32, order="C"
    )
    scaled -= np.float32(moments.mean / moments.std)
    return scaled


def resample_window(
    voxels: NDArray[Any],
    geometry: Geometry,
    window: Window,
    *,
    clamp: tuple[float, float] | None = None,
    average: bool = False,
) -> NDArray[np.float32]:
    """Resample the part of a volume that a window covers.

    Works slab by slab along the slowest axis in memory, so that only one slab of the source is
    ever held as floats: a 512x512x300 scan costs no more memory than its window.

    Parameters
    ----------
    voxels
        [i, j, k], any real dtype or bool.
    geometry
        Of ``voxels``.
    clamp
        Lowest and highest value, applied before resampling; for CT.
    average
        Average source voxels over a model voxel (see `taps`) instead of linear interpolation.

    Returns
    -------
    float32 [side, side, side] along the canonical axes; 0 outside of the volume.
    """
    grid = model_grid(geometry, window.spacing)
    plans = []
    for source in range(3):
        axis = grid.axes.index(source)
        model = window.start[axis] + np.arange(window.side)
        width = max(1.0, 1 / grid.scale[axis]) if average else 1.0
        plans.append(taps(grid.axis_to_source(axis, model), geometry.shape[source], width))
    # Slowest axis first: its slabs are contiguous, so every step below streams through memory.
    slow, mid, fast = sorted(range(3), key=lambda source: -abs(voxels.strides[source]))
    order = (slow, mid, fast)
    region = voxels[tuple(plan.needed for plan in plans)].transpose(order)
    plans = [plan.shifted(-plan.needed.start) for plan in plans]
    fast_matrix = plans[fast].matrix(region.shape[2]).T
    # The pad keeps rows off each other's cache sets when the caller lays the axes out anew:
    # sides are powers of two, and the transpose is seven times faster with it.
    padded = np.zeros((window.side, window.side, window.side + _PAD), dtype=np.float32)
    out = padded[:, :, : window.side]
    for o, (first, weights) in enumerate(zip(plans[slow].first, plans[slow].weights, strict=True)):
        if weights.any():
            rows = region[first : first + len(weights)].astype(np.float32)
            if clamp is not None:
                np.clip(rows, *clamp, out=rows)
            slab = np.tensordot(weights, rows, axes=1)
            np.matmul(plans[mid].rows(slab), fast_matrix, out=out[o])
    # out's axes are source axes (slow, mid, fast); canonical axis a is source axis grid.axes[a].
    return out.transpose([order.index(source) for source in grid.axes])


def crop(volume: Volume, window: Window, rule: WindowRule) -> NDArray[np.float32]:
    """Encoder input of a window: float32 [1, 1, side, side, side], canonical axis order.

    Raises
    ------
    NoForeground
        Nothing in the window (or in the volume, by ``rule.normalisation``) is > 0.
    """
    clamp = rule.ct_clamp if volume.modality is Modality.CT else None
    image = resample_window(
        volume.voxels, volume.geometry, window, clamp=clamp, average=rule.antialias
    )
    whole = None
    if rule.normalisation == "volume":
        whole = foreground(volume.voxels, clamp)
    return normalise(image, rule, whole=whole)[None, None]
