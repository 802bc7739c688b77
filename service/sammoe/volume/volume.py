"""A scan in memory."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sammoe.errors import HeaderInvalid
from sammoe.volume.dicom.source import DicomSource
from sammoe.volume.geometry import Geometry
from sammoe.volume.notes import ReadingNote


class Modality(StrEnum):
    """What kind of scanner the intensities come from."""

    CT = "CT"
    MR = "MR"
    UNKNOWN = "unknown"


class ModalitySource(StrEnum):
    """Where the modality was learnt."""

    TAG = "tag"
    RULE = "rule"
    USER = "user"
    UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels with their geometry and modality.

    Parameters
    ----------
    voxels
        [i, j, k] as stored, after rescaling: an integer dtype or float32, native byte order, any
        memory layout (files give ``i`` fastest). Shared, not copied.
    geometry
        Its shape must be that of ``voxels``.
    modality, modality_source
        CT in Hounsfield units, MR in any unit, or unknown; and who said so.
    source
        The DICOM series that it was read from, if it was.
    notes
        What was handled while reading and is worth knowing.
    """

    voxels: NDArray[Any]
    geometry: Geometry
    modality: Modality
    modality_source: ModalitySource
    source: DicomSource | None = None
    notes: tuple[ReadingNote, ...] = ()

    def __post_init__(self) -> None:
        if self.voxels.shape != self.geometry.shape:
            raise HeaderInvalid(
                f"The voxels have shape {self.voxels.shape}, the geometry {self.geometry.shape}."
            )

    def content_digest(self) -> str:
        """SHA-256 (hex) of dtype, shape, affine and voxels; the memory layout does not matter."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        little = self.voxels.dtype.newbyteorder("<")
        digest = hashlib.sha256(f"{little.str}{self.geometry.shape}".encode())
        # Adding zero turns -0.0 into 0.0: one affine, one digest.
        digest.update((self.geometry.affine + 0.0).astype("<f8").tobytes())
        digest.update(np.ascontiguousarray(self.voxels.T, dtype=little).data)
        return digest.hexdigest()
