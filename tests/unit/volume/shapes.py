"""Small volumes and masks that the tests of this package share."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sammoe.volume.geometry import Geometry
from sammoe.volume.volume import Modality, ModalitySource, Volume
from sammoe.volume.window import WindowRule

AXIS_ORDERS = list(itertools.permutations(range(3)))
FLIPS = list(itertools.product((1, -1), repeat=3))


def rule(side: int = 24, patch: int = 8, **changes: Any) -> WindowRule:
    """A rule with three spacings; MR and unknown start at the finest, CT at the middle."""
    fields: dict[str, Any] = {
        "spacings": (1.5, 3.0, 4.5),
        "default_spacing": {"CT": 3.0, "MR": 1.5, "unknown": 1.5},
    }
    return WindowRule(side=side, patch=patch, **{**fields, **changes})


def axis_affine(
    order: Sequence[int], flips: Sequence[int], spacing: Sequence[float]
) -> NDArray[np.float64]:
    """Affine whose source axis ``a`` runs along RAS axis ``order[a]``, ``flips[a]`` times."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for source, (axis, sign, step) in enumerate(zip(order, flips, spacing, strict=True)):
        affine[axis, source] = sign * step
    affine[:3, 3] = (-12.5, 7.0, 31.0)
    return affine


def volume_of(
    voxels: NDArray[Any], affine: NDArray[np.float64] | None = None, modality: str = "MR"
) -> Volume:
    """A volume on a 1 mm RAS grid, or on the given one."""
    shape = voxels.shape
    geometry = Geometry((shape[0], shape[1], shape[2]), np.eye(4) if affine is None else affine)
    return Volume(voxels, geometry, Modality(modality), ModalitySource.USER)


def grid_of(geometry: Geometry) -> NDArray[np.float64]:
    """Every source index of a geometry: [i, j, k, 3]."""
    axes = [np.arange(n, dtype=np.float64) for n in geometry.shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def ball(geometry: Geometry, centre_mm: Sequence[float], radius_mm: float) -> NDArray[np.bool_]:
    """Voxels whose centres are within ``radius_mm`` of a point in RAS mm."""
    places = geometry.index_to_ras(grid_of(geometry).reshape(-1, 3))
    distance = np.linalg.norm(places - np.asarray(centre_mm), axis=1)
    return np.asarray(distance <= radius_mm).reshape(geometry.shape)


def dice(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Dice overlap of two masks."""
    return 2 * float(np.count_nonzero(a & b)) / (np.count_nonzero(a) + np.count_nonzero(b))
