"""The same scan, taken of another patient: mirrored, stretched, with other intensities."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sammoe.volume.geometry import Geometry
from sammoe.volume.volume import Modality, Volume

Mask = NDArray[np.bool_]
_STRETCH = 0.08  # standard deviation of the logarithm of the scale, per axis
_GAMMA = 0.2  # standard deviation of the logarithm of the exponent
_NOISE = 0.08  # of the deviation of the voxels > 0, at most
_SHIFT_HU = 15.0  # at most: scanners and contrast phases differ by so much


def augmented(volume: Volume, mask: Mask, rng: np.random.Generator) -> tuple[Volume, Mask]:
    """Another volume and its mask, both [i, j, k].

    Left and right are exchanged half of the time, and the voxels' size changes by a few per cent
    along each axis. CT is shifted by some HU; other scans get a gamma curve and noise, both on the
    voxels > 0 alone, so that what was cut out stays cut out.
    """
    voxels = _ct(volume, rng) if volume.modality is Modality.CT else _magnitudes(volume, rng)
    geometry = volume.geometry
    if rng.random() < 0.5:
        sideways = geometry.canonical().axes[0]
        voxels, mask = np.flip(voxels, sideways), np.flip(mask, sideways)
    affine = geometry.affine.copy()
    affine[:3, :3] *= np.exp(_STRETCH * rng.standard_normal(3))
    return replace(volume, voxels=voxels, geometry=Geometry(geometry.shape, affine)), mask


def _ct(volume: Volume, rng: np.random.Generator) -> NDArray[np.float32]:
    shift = np.float32(rng.uniform(-_SHIFT_HU, _SHIFT_HU))
    return volume.voxels.astype(np.float32) + shift


def _magnitudes(volume: Volume, rng: np.random.Generator) -> NDArray[np.float32]:
    voxels = volume.voxels.astype(np.float32)
    inside = voxels > 0
    values = voxels[inside]
    gamma, noise = np.exp(_GAMMA * rng.standard_normal()), rng.uniform(0, _NOISE)
    if values.size:
        top = values.max()
        curved = top * (values / top) ** np.float32(gamma)
        spread = np.float32(noise) * curved.std()
        voxels[inside] = np.abs(curved + spread * rng.standard_normal(values.size, np.float32))
    return voxels
