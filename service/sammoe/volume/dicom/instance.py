"""What a reader needs to know of one DICOM file: its identity, its frames, its pixels' layout."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

NATIVE: Final = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"})
"""Transfer syntaxes whose pixels lie in the file as little-endian numbers."""

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Plane:
    """Where a frame lies in the patient, as DICOM says it: LPS+ mm.

    Attributes
    ----------
    position
        Centre of the first pixel.
    along_row, along_column
        Unit vectors in which columns and rows are counted.
    spacing
        mm between rows (along a column), and between columns (along a row).
    thickness
        mm from slice to slice, or else of the slice, where it is said: what a single slice has.
    """

    position: Vector
    along_row: Vector
    along_column: Vector
    spacing: tuple[float, float]
    thickness: float | None


@dataclass(frozen=True, slots=True)
class Frame:
    """One slice.

    Attributes
    ----------
    number
        In its instance, from 0.
    slope, intercept
        From stored numbers to values.
    traits
        (attribute, value) of what is one within a volume: differs between phases, echoes, ...
    """

    number: int
    plane: Plane
    slope: float
    intercept: float
    traits: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Pixels:
    """How an instance's pixels are stored.

    Attributes
    ----------
    offset, length
        Place of their bytes in the file and how many there are; the length is None where the
        transfer syntax packs them into fragments.
    overlay
        Whether an overlay may lie in the bits above ``bits``.
    inverted
        MONOCHROME1: the least value is shown white.
    """

    transfer_syntax: str
    offset: int
    length: int | None
    rows: int
    columns: int
    allocated: int
    bits: int
    signed: bool
    overlay: bool
    inverted: bool

    @property
    def dtype(self) -> np.dtype[np.integer]:
        """Type of the stored numbers."""
        return np.dtype(f"<{'i' if self.signed else 'u'}{self.allocated // 8}")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame, uncompressed."""
        return self.rows * self.columns * self.allocated // 8


@dataclass(frozen=True, slots=True, repr=False)
class Instance:
    """One file with an image; nothing of it is shown by ``repr``.

    Attributes
    ----------
    path
        The file whose bytes ``pixels`` speaks of.
    sop_instance, study, series, frame_of_reference
        UIDs; empty where they are missing.
    patient
        Id, name and birth date.
    header
        The file up to its pixels.
    lossy
        Whether information was lost by compression.
    """

    path: Path
    sop_instance: str
    study: str
    series: str
    frame_of_reference: str
    patient: tuple[str, str, str]
    modality: str
    localizer: bool
    header: bytes
    pixels: Pixels
    frames: tuple[Frame, ...]
    lossy: bool
