"""Where a volume came from: what a DICOM SEG, an RTSTRUCT or a purge needs to know of its series.

All of it is a patient's: it is kept beside the volume, and goes into no log, metric, URL or name.
"""

import json
import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pydicom import Dataset

_LENGTH: Final = struct.Struct("<I")
_LEVEL: Final = 1
"""Of compression: headers of one series are so alike that a higher one gains nothing."""


@dataclass(frozen=True, slots=True)
class SliceSource:
    """Where one slice of a volume came from.

    Attributes
    ----------
    sop_instance_uid
        The instance.
    frame
        Number of the frame in it, from 1; 1 for an instance of one frame.
    """

    sop_instance_uid: str
    frame: int


@dataclass(frozen=True, eq=False, repr=False)
class DicomSource:
    """The series that a volume was read from, without its pixels.

    Attributes
    ----------
    study, series, frame_of_reference
        UIDs; the last may be missing.
    slices
        In the array's order: ``slices[k]`` is where ``voxels[:, :, k]`` came from, and voxel
        (i, j, k) is the pixel in column i and row j of that frame.
    headers
        For each instance, in the order in which ``slices`` first name them: a DICOM file (PS3.10)
        that ends before its pixels.
    """

    study: str
    series: str
    frame_of_reference: str | None
    slices: tuple[SliceSource, ...]
    headers: tuple[bytes, ...]

    def datasets(self) -> "list[Dataset]":
        """Parse the headers: one dataset with file meta for each instance, in their order."""
        from pydicom import dcmread  # slow to import, and most processes never write DICOM

        return [dcmread(BytesIO(header), force=True) for header in self.headers]

    def pack(self) -> bytes:
        """All of it as bytes for the store, compressed."""
        index = json.dumps(
            {
                "study": self.study,
                "series": self.series,
                "frame_of_reference": self.frame_of_reference,
                "slices": [(one.sop_instance_uid, one.frame) for one in self.slices],
                "headers": [len(header) for header in self.headers],
            }
        ).encode()
        return zlib.compress(b"".join((_LENGTH.pack(len(index)), index, *self.headers)), _LEVEL)

    @classmethod
    def unpack(cls, packed: bytes) -> "DicomSource":
        """Read what `pack` made.

        Raises
        ------
        ValueError
            It is something else, or damaged.
        """
        try:
            data = zlib.decompress(packed)
            (length,) = _LENGTH.unpack_from(data)
            index = json.loads(data[_LENGTH.size : _LENGTH.size + length])
            headers, place = [], _LENGTH.size + length
            for size in index["headers"]:
                headers.append(data[place : place + size])
                place += size
            return cls(
                study=index["study"],
                series=index["series"],
                frame_of_reference=index["frame_of_reference"],
                slices=tuple(SliceSource(uid, frame) for uid, frame in index["slices"]),
                headers=tuple(headers),
            )
        except (zlib.error, struct.error, LookupError, TypeError) as error:
            raise ValueError("not the packed source of a volume") from error
