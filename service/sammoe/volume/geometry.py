"""Where a volume's voxels lie in the patient.

Axis words used throughout the package:

source index
    ``(i, j, k)`` of the volume as stored; float, integers are voxel centres.
RAS+ mm
    Patient coordinates of NIfTI: x to the right, y to the front, z to the head. (DICOM, ITK and
    NRRD mostly speak LPS+: x and y negated.)
canonical index
    The source index with its axes permuted and flipped to the nearest RAS+ order. Nothing is
    resampled: an oblique volume stays oblique.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import NDArray

from sammoe.errors import AffineInvalid, HeaderInvalid

MIN_SPACING_MM = 1e-3
"""Finest voxel that is taken for a scan's: one micrometre."""

MAX_SPACING_MM = 1e3
"""Coarsest voxel that is taken for a scan's: one metre."""

MAX_OFFSET_MM = 1e6
"""Farthest origin (one kilometre); beyond it float arithmetic would lose the voxel."""

SQUARE_DEGREES = 5.0
"""Two axes within this many degrees of a right angle count as orthogonal."""

MAX_TILT_DEGREES = 45.0
"""Largest gantry tilt: one pair of axes may be this far from a right angle."""


@dataclass(frozen=True)
class AxisMap:
    """Permutation and flips from source axes to canonical (nearest RAS+) axes.

    Attributes
    ----------
    axes
        ``axes[a]`` is the source axis that runs along canonical axis ``a``.
    flips
        ``flips[a]`` tells whether that source axis runs against canonical axis ``a``.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]


@dataclass(frozen=True, eq=False)
class Geometry:
    """Shape and affine of a volume.

    Parameters
    ----------
    shape
        Number of voxels along ``i, j, k``; each at least 1.
    affine
        float64 [4, 4], source voxel index ``(i, j, k, 1)`` -> RAS+ mm. The axes may be permuted,
        flipped, oblique, anisotropic, and tilted in one plane (a CT gantry's tilt, up to
        ``MAX_TILT_DEGREES``); general shear is refused. The array is copied and made read-only.

    Raises
    ------
    HeaderInvalid
        The shape is not three positive numbers.
    AffineInvalid
        The affine is not a finite, regular [4, 4] matrix with last row (0, 0, 0, 1), a voxel is
        finer than ``MIN_SPACING_MM`` or wider than ``MAX_SPACING_MM``, the origin is farther
        than ``MAX_OFFSET_MM``, or the axes are sheared.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise HeaderInvalid(f"A volume has three sizes of at least 1, not {shape}.")
        affine = np.array(self.affine, dtype=np.float64)
        _check_affine(affine)
        affine.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", affine)

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm along ``i, j, k``: the lengths of the affine's columns."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @cached_property
    def orientation(self) -> str:
        """Nearest direction in which ``i, j, k`` grow, for example ``"LPS"``."""
        axis_map = self.canonical()
        codes = ["", "", ""]
        for axis, (source, flip) in enumerate(zip(axis_map.axes, axis_map.flips, strict=True)):
            codes[source] = ("LPI" if flip else "RAS")[axis]
        return "".join(codes)

    def canonical(self) -> AxisMap:
        """Permutation and flips to the nearest RAS+ order (the rule of torchio's ToCanonical)."""
        return self._canonical

    @cached_property
    def _canonical(self) -> AxisMap:
        axes, flips = [0, 0, 0], [False, False, False]
        nearest: NDArray[np.float64] = io_orientation(self.affine)  # type: ignore[no-untyped-call]
        for source, (target, direction) in enumerate(nearest):
            axes[int(target)] = source
            flips[int(target)] = bool(direction < 0)
        return AxisMap((axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]))

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel, millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000

    @cached_property
    def _inverse(self) -> NDArray[np.float64]:
        return np.asarray(np.linalg.inv(self.affine), dtype=np.float64)

    def index_to_ras(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Map source indices [N, 3] to RAS+ mm [N, 3]."""
        return _transform(self.affine, points)

    def ras_to_index(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Map RAS+ mm [N, 3] to source indices [N, 3], not rounded."""
        return _transform(self._inverse, points)

    def apart(self, other: "Geometry") -> float:
        """How far a voxel lies from the one of the same index in a grid of the same shape, at most.

        In mm, along one of the patient's axes.
        """
        # All corners: the two ends of one diagonal coincide, too, where the grid is turned about
        # it, as by two axes of one length that changed places.
        corners = np.indices((2, 2, 2)).reshape(3, 8).T * np.subtract(self.shape, 1)
        return float(np.abs(self.index_to_ras(corners) - other.index_to_ras(corners)).max())


def _transform(matrix: NDArray[np.float64], points: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(points, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def _check_affine(affine: NDArray[np.float64]) -> None:
    if affine.shape != (4, 4):
        raise AffineInvalid(f"An affine is a 4x4 matrix, not {affine.shape}.")
    if not np.isfinite(affine).all():
        raise AffineInvalid("The affine holds NaN or Inf; write the file's orientation anew.")
    if not np.array_equal(affine[3], (0, 0, 0, 1)):
        raise AffineInvalid("The affine's last row must be 0 0 0 1.")
    if np.abs(affine[:3, 3]).max() > MAX_OFFSET_MM:
        raise AffineInvalid(f"The affine's origin is farther than {MAX_OFFSET_MM:g} mm away.")
    columns = affine[:3, :3]
    # Before any product of them, which could overflow.
    if np.abs(columns).max() > MAX_SPACING_MM:
        raise AffineInvalid(f"The affine says voxels wider than {MAX_SPACING_MM:g} mm.")
    spacing = np.linalg.norm(columns, axis=0)
    if spacing.min() < MIN_SPACING_MM:
        raise AffineInvalid("The affine is singular: a voxel axis has no length.")
    unit = columns / spacing
    cosines = np.abs((unit[:, 0] @ unit[:, 1], unit[:, 0] @ unit[:, 2], unit[:, 1] @ unit[:, 2]))
    tilt = np.sort(np.degrees(np.arcsin(np.minimum(cosines, 1.0))))
    if tilt[2] > MAX_TILT_DEGREES or tilt[1] > SQUARE_DEGREES:
        raise AffineInvalid(
            "The affine is singular or sheared: its axes are "
            f"{tilt[0]:.0f}, {tilt[1]:.0f} and {tilt[2]:.0f} degrees off a right angle. "
            "Only a gantry tilt (one pair) can be used; resample the scan to a straight grid."
        )
