"""Smooth random fields, made on a small grid and interpolated: cheap at any size."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


@lru_cache(maxsize=256)
def spline_matrix(size: int, nodes: int) -> Field:
    """Cubic B-spline weights float32 [size, nodes]: `nodes` values stretched over `size` voxels."""
    at = np.linspace(1.0, nodes - 2.0, size)[:, None]
    d = np.abs(at - np.arange(nodes)[None])
    near = 2 / 3 - d**2 + d**3 / 2
    far = np.clip(2 - d, 0, None) ** 3 / 6
    return np.where(d < 1, near, far).astype(np.float32)


def stretch(small: Field, shape: tuple[int, int, int]) -> Field:
    """Interpolate float32 [a, b, c] (each >= 4) smoothly to `shape`."""
    mx, my, mz = (spline_matrix(s, n) for s, n in zip(shape, small.shape, strict=True))
    flat = mx @ small.reshape(small.shape[0], -1)
    out: Field = np.matmul(my, flat.reshape(shape[0], small.shape[1], small.shape[2]))
    out = np.matmul(out, mz.T)
    return out


def smooth_noise(shape: tuple[int, int, int], cell: float, rng: np.random.Generator) -> Field:
    """Gaussian noise of unit standard deviation whose grains are about `cell` voxels wide."""
    nodes = tuple(max(4, round(s / cell) + 3) for s in shape)
    out = stretch(rng.standard_normal(nodes, dtype=np.float32), shape)
    # A cubic B-spline of white noise has this standard deviation along each axis.
    return out * np.float32(1 / 0.69**3)
