"""Turn a mask on the source grid into the decoder's prior: low-resolution logits."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from sammoe.volume.crop import resample_window
from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import cut, upsampling
from sammoe.volume.window import Window, WindowRule

FULL_LOGIT = 6.0
"""Logit of a place well inside of the mask (99.75 %); its negative, well outside."""

_RAMP_CELLS = 1.5
_ROUNDS = 4


def mask_to_logits(
    mask: NDArray[Any], window: Window, geometry: Geometry, rule: WindowRule
) -> NDArray[np.float32]:
    """Logits whose pasted mask is as close to ``mask`` as the cells allow.

    Cell averages, the obvious choice, would not do: `paste` smooths them once more, and together
    they take a tenth off the diameter of a 20 mm ball. So the signed distance to the mask's
    surface, which a coarse grid carries well, is fitted by least squares with the upsampling that
    `paste` applies; then a few rounds of correction push it to where the occupancy it implies
    (distance + 1/2, between 0 and 1, in window voxels) differs from the mask's.

    Parameters
    ----------
    mask
        [i, j, k] of ``geometry``; not 0 is inside.
    window, geometry, rule
        Where to put it; ``rule.cells`` gives the result's side L.

    Returns
    -------
    float32 [L, L, L], canonical axes, within -FULL_LOGIT .. FULL_LOGIT: the signed distance in
    units of 1.5 cells / FULL_LOGIT.
    """
    occupancy = resample_window(np.not_equal(mask, 0), geometry, window, average=True)
    reach = _RAMP_CELLS * window.side / rule.cells
    up, fit = upsampling(rule.cells, window.side), _fit(rule.cells, window.side)
    distance = _along_axes(_signed_distance(occupancy > 0.5, reach), fit)
    for _ in range(_ROUNDS):
        implied = np.clip(_along_axes(distance, up) + np.float32(0.5), 0, 1)
        distance += _along_axes(occupancy - implied, fit)
        np.clip(distance, -reach, reach, out=distance)
    return distance * np.float32(FULL_LOGIT / reach)


def _signed_distance(inside: NDArray[np.bool_], reach: float) -> NDArray[np.float32]:
    """Distance to the surface in voxels, positive inside, clipped to +-reach; float32 [S, S, S]."""
    distance = np.full(inside.shape, -reach, dtype=np.float32)
    box, margin = cut(inside), math.ceil(reach) + 1
    if box.mask.size:
        # Farther than reach from the mask the value is known: only its neighbourhood is measured.
        near = tuple(
            slice(max(0, first - margin), first + n + margin)
            for first, n in zip(box.offset, box.mask.shape, strict=True)
        )
        part = inside[near]
        # The distance is to the nearest centre of the other kind; the surface is half a voxel off.
        signed = np.where(
            part, distance_transform_edt(part) - 0.5, 0.5 - distance_transform_edt(~part)
        )
        distance[near] = np.clip(signed, -reach, reach)
    return distance


def _along_axes(values: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply a matrix [N, M] to each axis of [M, M, M]."""
    for _ in range(3):
        # Contracts the first axis and appends the new one: after three turns the order is back.
        values = np.tensordot(values, matrix, axes=(0, 1))
    return values


@lru_cache(maxsize=16)
def _fit(cells: int, side: int) -> NDArray[np.float32]:
    """Pseudo-inverse [cells, side] of the upsampling matrix."""
    inverse = np.linalg.pinv(upsampling(cells, side).astype(np.float64)).astype(np.float32)
    inverse.setflags(write=False)
    return inverse
