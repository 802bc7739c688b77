"""Small scans as files in memory, for tests that upload them."""

import gzip
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

SHAPE = (60, 70, 50)
SPACING = (1.0, 1.0, 1.5)
INSIDE = (30, 30, 20)
"""A voxel well inside of the scan."""

AFFINE: NDArray[np.float64] = np.array(
    [[-1.0, 0, 0, 30], [0, 1.0, 0, -40], [0, 0, 1.5, 10], [0, 0, 0, 1]]
)
"""Voxel index to RAS+ mm: the first axis runs from right to left."""


def nifti(
    seed: int = 0, shape: tuple[int, ...] = SHAPE, affine: NDArray[np.float64] = AFFINE
) -> bytes:
    """An uncompressed NIfTI-1 file of positive int16 noise: different for each seed."""
    voxels = np.random.default_rng(seed).integers(1, 200, shape, dtype=np.int16)
    return as_nifti(voxels, affine)


def as_nifti(voxels: NDArray[Any], affine: NDArray[np.float64]) -> bytes:
    """Voxels as an uncompressed NIfTI-1 file."""
    image = nib.Nifti1Image(voxels, affine)  # type: ignore[no-untyped-call]
    return bytes(image.to_bytes())


def gzipped(seed: int = 0) -> bytes:
    """The same as ``.nii.gz``; equal bytes for equal seeds."""
    return gzip.compress(nifti(seed), 1, mtime=0)
