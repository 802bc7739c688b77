"""One DICOM file up to its pixels: parsed by pydicom, checked here."""

import secrets
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Final

from pydicom import Dataset, dcmread
from pydicom.filebase import DicomFileLike
from pydicom.filereader import read_file_meta_info
from pydicom.filewriter import write_file_meta_info
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from sammoe.errors import (
    DicomInvalid,
    DicomPixelsDamaged,
    DicomPixelsUnsupported,
    TooLarge,
)
from sammoe.volume.dicom.frames import frames_of
from sammoe.volume.dicom.instance import NATIVE, Instance, Pixels
from sammoe.volume.dicom.values import text, whole
from sammoe.volume.limits import MAX_SIDE, ReadLimits

_MAX_HEADER: Final = 1 << 26
"""Bytes before the pixels; an enhanced image of 10 000 frames needs about half."""

_INFLATED_ANYWAY: Final = 1 << 26
_MOST_INFLATED: Final = 200
"""How much larger a file may become: no picture of a body is so empty, and deflate can do 1032."""

_META_START: Final = 128 + 4 + 12
"""Offset of the meta information after its own length."""
_META_BYTES: Final = 4096
"""The transfer syntax is named within these first bytes."""
_CHUNK: Final = 1 << 18
_PIXEL_DATA: Final = (0x7FE0, 0x0010)
_OVERLAYS: Final = 0x6000
_UNDEFINED: Final = 0xFFFFFFFF
_GREY: Final = ("MONOCHROME1", "MONOCHROME2")
_NO_SCAN: Final = frozenset(
    {"SEG", "RTDOSE", "RTSTRUCT", "RTPLAN", "RTRECORD", "SR", "PR", "KO", "REG", "FID", "DOC"}
    | {"AU", "ECG", "HD", "PLAN", "SMR", "M3D", "TEXTUREMAP", "RWV"}
)
"""Modalities of objects that lie beside scans and are none."""


def read_instance(path: Path, scratch: Path, limits: ReadLimits) -> Instance | None:
    """Read a DICOM file up to its pixels.

    Parameters
    ----------
    path
        The file.
    scratch
        Folder for an inflated copy, where the file is deflated as a whole.
    limits
        Of the volume that it is a part of.

    Returns
    -------
    What it holds, or None where it is no image: a report, a plan, a segmentation, a directory.

    Raises
    ------
    DicomInvalid
        Or one of its kinds, which says what can not be used.
    TooLarge
        Its header, or what it inflates to, is larger than any scan's.
    """
    try:
        return _read(path, scratch, limits)
    except (DicomInvalid, TooLarge):
        raise
    # pydicom answers damage with almost every kind of exception, down to RecursionError.
    except Exception as error:
        raise DicomInvalid("A DICOM file is damaged: its header can not be parsed.") from error


def _read(path: Path, scratch: Path, limits: ReadLimits) -> Instance | None:
    if _is_deflated(path):
        path = _inflated(path, scratch, limits)
    with path.open("rb") as file:
        # Reading stops at the pixels, or at the end; either way the file stands there.
        dataset = dcmread(file, stop_before_pixels=True, force=True)
        end = file.tell()
        if end > _MAX_HEADER:
            raise TooLarge(f"A DICOM header of {end} bytes is larger than the {_MAX_HEADER} read.")
        if _is_no_image(dataset):
            return None
        syntax = _transfer_syntax(dataset)
        offset, length = _pixel_place(file, syntax)
        file.seek(0)
        header = file.read(end)
    return Instance(
        path=path,
        sop_instance=text(dataset, "SOPInstanceUID"),
        study=text(dataset, "StudyInstanceUID"),
        series=text(dataset, "SeriesInstanceUID"),
        frame_of_reference=text(dataset, "FrameOfReferenceUID"),
        patient=(
            text(dataset, "PatientID"),
            text(dataset, "PatientName"),
            text(dataset, "PatientBirthDate"),
        ),
        modality=text(dataset, "Modality"),
        localizer="LOCALIZER" in text(dataset, "ImageType").upper().split("\\"),
        header=header,
        pixels=_pixels(dataset, syntax, offset, length),
        frames=frames_of(dataset),
        lossy=text(dataset, "LossyImageCompression") == "01",
    )


def _is_deflated(path: Path) -> bool:
    with path.open("rb") as file:
        return DeflatedExplicitVRLittleEndian.encode() in file.read(_META_BYTES)


def _inflated(path: Path, scratch: Path, limits: ReadLimits) -> Path:
    """A copy of a deflated file, inflated no further than the limits allow."""
    meta = read_file_meta_info(path)
    begin = _META_START + int(meta.FileMetaInformationGroupLength)
    room = max(_INFLATED_ANYWAY, _MOST_INFLATED * path.stat().st_size)
    budget = min(limits.max_bytes + _MAX_HEADER, room)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    copy = scratch / secrets.token_hex(8)
    with path.open("rb") as packed, copy.open("xb") as file:
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        file.write(bytes(128) + b"DICM")
        write_file_meta_info(DicomFileLike(file), meta, enforce_standard=False)
        packed.seek(begin)
        pending = packed.read(_CHUNK)
        while pending and not inflater.eof:
            part = inflater.decompress(pending, _CHUNK)
            budget -= file.write(part)
            if budget < 0:
                raise TooLarge("A deflated file inflates to more than any image does.")
            pending = inflater.unconsumed_tail or packed.read(_CHUNK)
    return copy


def _is_no_image(dataset: Dataset) -> bool:
    """Whether this is an object of another kind, rather than an image with something missing."""
    if text(dataset, "Modality") in _NO_SCAN or "DirectoryRecordSequence" in dataset:
        return True
    is_image = "Image Storage" in UID(text(dataset, "SOPClassUID")).name
    return not is_image and "Rows" not in dataset and "PixelData" not in dataset


def _transfer_syntax(dataset: Dataset) -> str:
    """As the file says; else as it turned out when it was read."""
    said = text(dataset.file_meta, "TransferSyntaxUID")
    if said:
        return said
    implicit, little = dataset.original_encoding
    if not little:
        return ExplicitVRBigEndian
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian


def _pixel_place(file: BinaryIO, syntax: str) -> tuple[int, int | None]:
    """Where the file's pixels begin, the file standing at their tag, and how many bytes they are.

    The length is None where they are fragments.
    """
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    start = file.read(12)
    if len(start) < 12:
        raise DicomPixelsDamaged("A DICOM file ends before its pixels: it was cut off.")
    group, element = struct.unpack_from(f"{order}HH", start)
    if (group, element) != _PIXEL_DATA:
        raise DicomPixelsUnsupported("An image has pixels that are floats; only integers are read.")
    if syntax == ImplicitVRLittleEndian:
        (length,) = struct.unpack_from("<I", start, 4)
        offset = file.tell() - 4
    else:
        (length,) = struct.unpack_from(f"{order}I", start, 8)
        offset = file.tell()
    return offset, None if length == _UNDEFINED else length


def _pixels(dataset: Dataset, syntax: str, offset: int, length: int | None) -> Pixels:
    _check_decoder(syntax)
    rows, columns = whole(dataset, "Rows"), whole(dataset, "Columns")
    allocated, bits = whole(dataset, "BitsAllocated"), whole(dataset, "BitsStored")
    if rows is None or columns is None or allocated is None or bits is None:
        raise DicomInvalid("An image does not say how its pixels are stored: it is damaged.")
    samples = whole(dataset, "SamplesPerPixel") or 1
    shown = text(dataset, "PhotometricInterpretation")
    if samples != 1 or shown not in _GREY:
        raise DicomPixelsUnsupported(
            f"An image has {samples} sample(s) for each pixel and is no plain grey image; "
            "a scan has one, MONOCHROME1 or MONOCHROME2."
        )
    high = whole(dataset, "HighBit")
    if allocated not in (8, 16, 32) or not 1 <= bits <= allocated or high not in (None, bits - 1):
        raise DicomPixelsUnsupported(
            f"An image stores {bits} bits, the highest at {high}, in {allocated}; 8, 16 or 32 "
            "allocated bits are read, filled from the lowest."
        )
    if not (1 <= rows <= MAX_SIDE and 1 <= columns <= MAX_SIDE):
        raise DicomInvalid(f"An image declares {rows} x {columns} pixels.")
    return Pixels(
        transfer_syntax=syntax,
        offset=offset,
        length=length,
        rows=rows,
        columns=columns,
        allocated=allocated,
        bits=bits,
        signed=whole(dataset, "PixelRepresentation") == 1,
        overlay=any(tag >> 16 & 0xFF00 == _OVERLAYS for tag in tuple(dataset.keys())),
        inverted=shown == "MONOCHROME1",
    )


def _check_decoder(syntax: str) -> None:
    if syntax in NATIVE:
        return
    try:
        available = get_decoder(UID(syntax)).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise DicomPixelsUnsupported(
            f"An image is compressed by a method that is not read ({_name(syntax)}); send it "
            "uncompressed."
        )


def _name(syntax: str) -> str:
    """A transfer syntax's name, if the standard knows it; what files say is not repeated."""
    name = UID(syntax).name
    return "an unknown one" if name == syntax else name
