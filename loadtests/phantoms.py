"""Structures larger than a window in plain bodies, as CT scans made by arithmetic.

Each is there whole, and once more cut to what one window holds, in the same surroundings.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from sammoe.volume.geometry import Geometry
from sammoe.volume.volume import Modality, ModalitySource, Volume

SPACING: Final = 2.0
AIR, SOFT, ORGAN, VESSEL, BONE = -1000.0, 40.0, 120.0, 250.0, 450.0
"""Hounsfield units."""

Mask = NDArray[np.bool_]
Axes = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Phantom:
    """A scan with one structure.

    Attributes
    ----------
    volume
        int16 Hounsfield units, voxels of 2 mm, RAS.
    mask
        The structure.
    """

    volume: Volume
    mask: Mask


def aorta(length_mm: float = 400.0, seed: int = 0) -> Phantom:
    """A vessel in contrast, 30 mm wide, that winds from the top down before a spine."""
    shape = (150, 120, 230)
    x, y, z = _millimetres(shape)
    bend = 14 * np.sin(z / 70)
    mask = ((x - bend) ** 2 + y**2 < 15**2) & (np.abs(z) < length_mm / 2)
    spine = (x**2 + (y + 60) ** 2 + 0 * z) < 19**2
    return _scan(shape, mask, VESSEL, spine, seed)


def liver(width_mm: float = 300.0, seed: int = 0) -> Phantom:
    """An organ like a wedge, thick on the right and thin on the left."""
    shape = (190, 140, 140)
    x, y, z = _millimetres(shape)
    along = np.clip(x / width_mm + 0.5, 0, 1)
    thick = 1 - 0.6 * along
    inside = (
        (2 * x / width_mm) ** 2 + (y / (95 * thick)) ** 2 + ((z - 18 * along) / (85 * thick)) ** 2
    )
    spine = ((x - 10) ** 2 + (y + 112) ** 2 + 0 * z) < 17**2
    return _scan(shape, inside < 1, ORGAN, spine, seed)


def _millimetres(shape: tuple[int, int, int]) -> Axes:
    """Millimetres from the middle along each axis, to be broadcast."""
    i, j, k = (np.arange(n, dtype=np.float64) - (n - 1) / 2 for n in shape)
    return i[:, None, None] * SPACING, j[:, None] * SPACING, k * SPACING


def _scan(shape: tuple[int, int, int], mask: Mask, hu: float, spine: Mask, seed: int) -> Phantom:
    rng = np.random.default_rng(seed)
    x, y, z = _millimetres(shape)
    out = (x / (shape[0] * 0.96)) ** 2 + (y / (shape[1] * 0.94)) ** 2 + 0 * z
    image = np.where(out > 1, AIR, SOFT)
    image[spine] = BONE
    image[mask] = hu
    image = gaussian_filter(image, 0.6) + gaussian_filter(rng.normal(size=shape), 0.7) * 10
    voxels = np.clip(np.rint(image), -1024, 3000).astype(np.int16)
    geometry = Geometry(shape, np.diag([SPACING, SPACING, SPACING, 1.0]))
    return Phantom(Volume(voxels, geometry, Modality.CT, ModalitySource.USER), mask)
