"""Ways in which a series can lie in a patient; voxel (column, row, slice) to RAS+ mm."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Affine = NDArray[np.float64]


def affine(axes: NDArray[np.float64], spacing: tuple[float, float, float]) -> Affine:
    """From unit vectors (columns of ``axes``), RAS+, and mm between voxels."""
    made = np.eye(4)
    made[:3, :3] = axes * spacing
    made[:3, 3] = (12.5, -40.25, 101.75)
    return made


_AXIAL: Final = np.diag([-1.0, -1.0, 1.0])
_TURNED: Final = Rotation.from_euler("xyz", [17, -23, 31], degrees=True).as_matrix() @ _AXIAL


def _tilted() -> Affine:
    made = affine(_AXIAL, (0.7, 0.7, 3.0))
    made[1, 2] = 3.0 * np.tan(np.radians(15))
    return made


PLACES: Final[dict[str, Affine]] = {
    "plain": affine(_AXIAL, (0.75, 0.75, 2.0)),
    "oblique": affine(_TURNED, (0.8, 0.8, 2.5)),
    "sagittal": affine(np.array([[0, 0, -1.0], [-1.0, 0, 0], [0, -1.0, 0]]), (0.9, 0.9, 1.5)),
    "coronal": affine(np.array([[-1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]), (0.9, 0.9, 1.5)),
    "reversed": affine(_AXIAL @ np.diag([1, 1, -1.0]), (0.75, 0.75, 2.0)),
    "anisotropic": affine(_TURNED, (0.4, 1.3, 5.0)),
    "tilted": _tilted(),
}
"""``reversed``: slices come from head to feet, against the order of their images."""
