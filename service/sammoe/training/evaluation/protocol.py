"""The measure of published SAM-Med3D numbers: Dice inside of the crop, at 1.5 mm.

SAM-Med3D's own validation resamples a scan to 1.5 mm, crops it around the target, and compares
there, logits against 0.5, before anything is pasted back; of several clicks the best one counts.
What lies outside of the crop is never missed. Here the crop is the session's window. It flatters,
beside Dice on the scan's own grid: it is for comparison with what is published, and nothing else.
"""

import numpy as np
from numpy.typing import NDArray

from sammoe.training.evaluation.metrics import Mask, dice
from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import upsampling
from sammoe.volume.resample import taps
from sammoe.volume.window import Window, model_grid

SPACING_MM = 1.5
THRESHOLD = 0.5
"""On logits: a probability of 0.62."""


def dice_in_crop(
    logits: NDArray[np.float32], window: Window, geometry: Geometry, target: Mask
) -> float:
    """Dice inside of a window at 1.5 mm.

    Parameters
    ----------
    logits
        float32 [L, L, L] of the window, canonical axis order.
    window, geometry
        Where the logits lie, and the volume's own grid.
    target
        bool [i, j, k] on that grid; its nearest voxel is taken, and none outside of the volume.

    Returns
    -------
    In [0, 1], or NaN where neither mask nor target is in the window.
    """
    count = max(1, round(window.side * window.spacing / SPACING_MM))
    places = (np.arange(count, dtype=np.float64) + 0.5) * (window.side / count) - 0.5
    rows = taps(places, window.side).rows(upsampling(len(logits), window.side))
    grid = model_grid(geometry, window.spacing)
    wanted = target.transpose(grid.axes)
    for axis in range(3):
        logits = np.moveaxis(np.tensordot(rows, logits, axes=(1, axis)), 0, axis)
        index = np.rint(grid.axis_to_source(axis, places + window.start[axis])).astype(int)
        there = (index >= 0) & (index < wanted.shape[axis])
        taken = np.take(wanted, np.where(there, index, 0), axis)
        shape = [1, 1, 1]
        shape[axis] = -1
        wanted = taken & there.reshape(shape)
    return dice(logits > THRESHOLD, wanted)
