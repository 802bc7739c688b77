"""DICOM Segmentations that others made on a volume's series, as masks on its grid.

The frames must lie on the volume's own voxels: nothing is resampled. They may be fewer, in any
order, and cut out of the volume's slices.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    SegmentationStorage,
)

from sammoe.errors import DicomInvalid, SegInvalid
from sammoe.volume.dicom.frames import frames_of
from sammoe.volume.dicom.instance import Plane
from sammoe.volume.dicom.origin import NEAR_VOXELS
from sammoe.volume.dicom.quiet import keep_quiet
from sammoe.volume.dicom.source import DicomSource
from sammoe.volume.dicom.values import items, text, whole
from sammoe.volume.geometry import Geometry

LABEL_MAP_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.66.7"

_CLASSES: Final = (SegmentationStorage, LABEL_MAP_STORAGE)
_NATIVE: Final = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)


def is_seg(path: Path) -> bool:
    """Whether a file says of itself that it is a DICOM Segmentation, of either kind."""
    try:
        return str(read_file_meta_info(path).get("MediaStorageSOPClassUID", "")) in _CLASSES
    # pydicom answers damage with almost every kind of exception.
    except Exception:
        return False


def read_seg(
    path: Path, geometry: Geometry, source: DicomSource, segment: int | None = None
) -> NDArray[np.bool_]:
    """Read a DICOM SEG.

    Parameters
    ----------
    path
        The file: BINARY, FRACTIONAL (half and more is inside) or LABELMAP; not compressed, or RLE.
    geometry, source
        The volume's.
    segment
        Number of the segment; None: all of them together.

    Returns
    -------
    bool [i, j, k], of the geometry's shape.

    Raises
    ------
    SegInvalid
        It is none, is damaged, has no such segment, or does not lie on the volume's voxels.
    """
    keep_quiet()
    try:
        # Before anything is read: a deflated file can inflate to any size.
        if read_file_meta_info(path).TransferSyntaxUID not in (*_NATIVE, RLELossless):
            raise SegInvalid("The DICOM SEG is compressed in a way that is not read: store it raw.")
        return _read(dcmread(path), geometry, source, segment)
    except SegInvalid:
        raise
    except DicomInvalid as error:
        raise SegInvalid(error.detail) from error
    except Exception as error:
        raise SegInvalid("The DICOM SEG is damaged: it can not be read.") from error


def _read(
    seg: Dataset, geometry: Geometry, source: DicomSource, segment: int | None
) -> NDArray[np.bool_]:
    if text(seg, "SOPClassUID") not in _CLASSES:
        raise SegInvalid("The file is no DICOM SEG.")
    if text(seg, "FrameOfReferenceUID") != source.frame_of_reference:
        raise SegInvalid("The DICOM SEG was made in another frame of reference than this series.")
    numbers = [whole(item, "SegmentNumber") for item in items(seg, "SegmentSequence")]
    if segment is not None and segment not in numbers:
        known = ", ".join(str(number) for number in numbers[:20])
        raise SegInvalid(f"The DICOM SEG has no segment {segment}, but: {known}.")
    planes = [frame.plane for frame in frames_of(seg)]
    wanted = [_is_wanted(seg, frame, segment) for frame in range(len(planes))]
    places = [_place(plane, geometry) for plane in planes]
    rows, columns = whole(seg, "Rows") or 0, whole(seg, "Columns") or 0
    if not (0 < columns <= geometry.shape[0] and 0 < rows <= geometry.shape[1]):
        raise SegInvalid("The frames of the DICOM SEG are larger than the volume's slices.")
    frames = _frames(seg, len(planes), rows, columns)
    labels = text(seg, "SegmentationType") == "LABELMAP" or text(seg, "SOPClassUID") == (
        LABEL_MAP_STORAGE
    )
    threshold = _threshold(seg)
    mask = np.zeros(geometry.shape, dtype=np.bool_, order="F")
    for (i, j, k), values, is_wanted in zip(places, frames, wanted, strict=True):
        place = mask[i : i + columns, j : j + rows, k]
        if place.shape != (columns, rows):
            raise SegInvalid("A frame of the DICOM SEG lies partly outside of the volume.")
        if not is_wanted:
            continue
        if labels:
            inside = values > 0 if segment is None else values == segment
        else:
            inside = values >= threshold
        place |= inside.T
    return mask


def _is_wanted(seg: Dataset, frame: int, segment: int | None) -> bool:
    """Whether a frame is the segment's; those of a label map are everybody's."""
    if segment is None:
        return True
    shared = items(seg, "SharedFunctionalGroupsSequence")
    for groups in (seg.PerFrameFunctionalGroupsSequence[frame], *shared[:1]):
        found = items(groups, "SegmentIdentificationSequence")
        if found:
            return whole(found[0], "ReferencedSegmentNumber") == segment
    return True


def _place(plane: Plane, geometry: Geometry) -> tuple[int, int, int]:
    """The voxel that a frame's first pixel is; rows and columns must run as the volume's."""
    between_rows, between_columns = plane.spacing
    first = np.array(plane.position)
    lps = np.stack(
        (
            first,
            first + np.array(plane.along_row) * between_columns * (geometry.shape[0] - 1),
            first + np.array(plane.along_column) * between_rows * (geometry.shape[1] - 1),
        )
    )
    index = geometry.ras_to_index(lps * (-1, -1, 1))
    steps = np.diag([geometry.shape[0] - 1, geometry.shape[1] - 1, 0])[:2]
    nearest = np.rint(index[0])
    off = max(np.abs(index[0] - nearest).max(), np.abs(index[1:] - index[0] - steps).max())
    inside = (nearest >= 0).all() and (nearest < geometry.shape).all()
    if off > NEAR_VOXELS or not inside:
        raise SegInvalid(
            "A frame of the DICOM SEG does not lie on the voxels of this volume: make it on the"
            " volume's own series."
        )
    i, j, k = nearest.astype(int).tolist()
    return i, j, k


def _threshold(seg: Dataset) -> float:
    if text(seg, "SegmentationType") != "FRACTIONAL":
        return 1
    return max(1.0, (whole(seg, "MaximumFractionalValue") or 255) / 2)


def _frames(seg: Dataset, count: int, rows: int, columns: int) -> Iterator[NDArray[Any]]:
    """Frames [row, column] of unsigned numbers, in order."""
    size, bits = rows * columns, whole(seg, "BitsAllocated")
    if bits not in (1, 8, 16):
        raise SegInvalid("The DICOM SEG's pixels are none of 1, 8 or 16 bits.")
    if seg.file_meta.TransferSyntaxUID == RLELossless:
        decoder = get_decoder(RLELossless)
        for frame, _ in decoder.iter_array(seg, raw=True, decoding_plugin="pydicom"):
            yield np.asarray(frame).reshape(rows, columns)
        return
    data = np.frombuffer(seg.PixelData, np.uint8)
    if data.nbytes * 8 < count * size * bits:
        raise SegInvalid("The DICOM SEG ends before its last frame.")
    for start in range(0, count * size, size):
        if bits == 1:
            # Frames follow each other bit by bit: from the byte that this one begins in.
            first, skipped = divmod(start, 8)
            unpacked = np.unpackbits(data[first : -(-(start + size) // 8)], bitorder="little")
            frame = unpacked[skipped : skipped + size]
        else:
            frame = data.view(f"<u{bits // 8}")[start : start + size]
        yield frame.reshape(rows, columns)
