"""Cut a window out of a volume, as the image encoder wants it.

Order of work, as in SAM-Med3D's training: clamp CT, resample to the model grid, fill the outside
with 0, then standardise by mean and unbiased deviation of the voxels > 0 (for CT: HU > 0),
applied to every voxel, the filled ones too.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sammoe.errors import NoForeground
from sammoe.volume.geometry import Geometry
from sammoe.volume.resample import taps
from sammoe.volume.volume import Modality, Volume
from sammoe.volume.window import Window, WindowRule, model_grid


@dataclass(frozen=True)
class Foreground:
    """Mean and unbiased standard deviation of the voxels > 0."""

    mean: float
    std: float


def foreground(image: NDArray[Any]) -> Foreground:
    """Measure the voxels > 0 of an image of any shape.

    Raises
    ------
    NoForeground
        Fewer than two voxels are > 0, or those are all equal or not finite.
    """
    flat = image.ravel(order="K")
    positive = flat[flat > 0]
    if positive.size >= 2:
        mean = float(positive.mean(dtype=np.float64))
        std = float(positive.std(dtype=np.float64, ddof=1))
        # Rounding gives equal voxels a deviation of some 1e-16 of their mean.
        if math.isfinite(std) and std > 1e-6 * mean:
            return Foreground(mean, std)
    raise NoForeground(
        "Nothing to see here: the voxels above 0 are missing, all equal or not finite. "
        "Point at a place inside of the body."
    )


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
    out = np.zeros((window.side,) * 3, dtype=np.float32)
    for o, (first, weights) in enumerate(zip(plans[slow].first, plans[slow].weights, strict=True)):
        if weights.any():
            rows = region[first : first + len(weights)]
            rows = np.clip(rows, *clamp) if clamp is not None else rows
            slab = np.tensordot(weights, rows.astype(np.float32), axes=1)
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
        voxels = volume.voxels if clamp is None else np.clip(volume.voxels, *clamp)
        whole = foreground(voxels)
    return normalise(image, rule, whole=whole)[None, None]
