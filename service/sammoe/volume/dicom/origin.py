"""The frames that a volume's slices came from: where each lies, and how others refer to it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import UID

from sammoe.errors import NoDicomSource
from sammoe.volume.dicom.frames import frames_of
from sammoe.volume.dicom.instance import Plane
from sammoe.volume.dicom.quiet import keep_quiet
from sammoe.volume.dicom.source import DicomSource
from sammoe.volume.geometry import Geometry

NEAR_VOXELS: Final = 0.1
"""How far a pixel may lie from its voxel's centre: slices that are read need not be quite even."""

_LEAST_MM: Final = 0.05

_LPS: Final = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Origin:
    """Where one slice of a volume came from.

    Attributes
    ----------
    instance
        The header of its instance.
    frame
        Number of the frame in a multi-frame instance, from 1; None in one of a single frame.
    plane
        Where it lies, as the header says.
    """

    instance: Dataset
    frame: int | None
    plane: Plane

    def points(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map pixels (column, row) [N, 2] to LPS+ mm [N, 3]; integers are pixel centres."""
        between_rows, between_columns = self.plane.spacing
        along_row = np.outer(pixels[:, 0] * between_columns, self.plane.along_row)
        along_column = np.outer(pixels[:, 1] * between_rows, self.plane.along_column)
        return np.asarray(np.array(self.plane.position) + along_row + along_column)


def origins(source: DicomSource, geometry: Geometry) -> tuple[Origin, ...]:
    """Return where each slice came from, in the volume's order.

    Raises
    ------
    NoDicomSource
        The series has no frame of reference, or its frames are not where the volume's slices are.
    """
    if source.frame_of_reference is None:
        raise NoDicomSource(
            "The DICOM series of this volume names no frame of reference, so nothing can be said to"
            " lie in it: fetch NIfTI or NRRD."
        )
    keep_quiet()
    instances = {str(header.SOPInstanceUID): header for header in source.datasets()}
    if not all(_is_image(header) for header in instances.values()):
        raise NoDicomSource(
            "The DICOM files of this volume do not say of which kind of image they are (SOP class),"
            " so nothing can refer to them: fetch NIfTI or NRRD."
        )
    frames = {name: frames_of(header) for name, header in instances.items()}
    found = []
    for one in source.slices:
        instance = instances[one.sop_instance_uid]
        several = "PerFrameFunctionalGroupsSequence" in instance
        plane = frames[one.sop_instance_uid][one.frame - 1].plane
        found.append(Origin(instance, one.frame if several else None, plane))
    _check(found, geometry)
    return tuple(found)


def _is_image(header: Dataset) -> bool:
    return UID(str(header.get("SOPClassUID", ""))).name.endswith("Image Storage")


def _check(found: list[Origin], geometry: Geometry) -> None:
    """A mask must not be written to another place than where it was seen."""
    i, j, k = geometry.shape
    corners = np.array([(0, 0), (i - 1, 0), (0, j - 1)], dtype=np.float64)
    allowed = np.maximum(NEAR_VOXELS, _LEAST_MM / np.array(geometry.spacing))
    near = len(found) == k
    for number, origin in enumerate(found if near else ()):
        index = geometry.ras_to_index(origin.points(corners) @ _LPS)
        expected = np.column_stack((corners, np.full(len(corners), number)))
        near = near and bool((np.abs(index - expected) <= allowed).all())
    if not near:
        raise NoDicomSource(
            "The slices of this volume do not lie where the frames of its DICOM series do:"
            " add the series again."
        )
