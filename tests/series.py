"""DICOM series made of voxels and an affine, honest ones and odd ones."""

import copy
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
)

SHAPE = (24, 20, 12)
"""Columns, rows, slices."""

AFFINE: NDArray[np.float64] = np.array(
    [[-0.8, 0, 0, 10], [0, -0.7, 0, 20], [0, 0, 2.5, -30], [0, 0, 0, 1]]
)
"""(column, row, slice) to RAS+ mm: an axial series from the feet up."""

STUDY, SERIES, REFERENCE = "1.2.826.0.1.1", "1.2.826.0.1.2", "1.2.826.0.1.3"

GEOMETRY = ("PixelMeasuresSequence", "PlaneOrientationSequence")
"""Functional groups that an enhanced image shares, or gives for each frame."""

Series = list[Dataset]


def ct(shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> NDArray[np.int16]:
    """Hounsfield units [i, j, k]: air, and a body of soft tissue; no two voxels' noise alike."""
    rng = np.random.default_rng(seed)
    voxels = rng.integers(-1010, -990, shape).astype(np.int16)
    inside = tuple(slice(n // 4, n - n // 4) for n in shape[:2])
    body = voxels[inside]
    body[...] = rng.integers(-20, 90, body.shape)
    return voxels


def mr(shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> NDArray[np.int16]:
    """Magnitudes [i, j, k]."""
    return np.random.default_rng(seed).integers(0, 900, shape).astype(np.int16)


def series(
    voxels: NDArray[Any],
    affine: NDArray[np.float64] = AFFINE,
    *,
    modality: str = "CT",
    intercept: float = -1024,
    slope: float = 1,
    patient: str = "Doe^Jane",
    uid: str = SERIES,
) -> Series:
    """One classic image for each slice, in the array's order; unsigned, 16 bits of which 12 are
    used.
    """
    stored = np.rint((voxels.astype(np.float64) - intercept) / slope).astype(np.uint16)
    lps = np.diag([-1.0, -1, 1, 1]) @ affine
    between = np.linalg.norm(lps[:3, :3], axis=0)
    made = []
    for k in range(voxels.shape[2]):
        one = _head(modality, patient, uid, f"{uid}.{k + 1}")
        one.InstanceNumber = k + 1
        one.ImagePositionPatient = _decimals(lps[:3, 3] + k * lps[:3, 2])
        one.ImageOrientationPatient = _decimals(
            np.r_[lps[:3, 0], lps[:3, 1]] / np.repeat(between[:2], 3)
        )
        one.PixelSpacing = _decimals(between[[1, 0]])
        one.SliceThickness = _decimals([between[2]])[0]
        one.RescaleIntercept, one.RescaleSlope = str(intercept), str(slope)
        set_pixels(one, stored[:, :, k].T, bits=12)
        made.append(one)
    return made


def enhanced(
    voxels: NDArray[Any],
    affine: NDArray[np.float64] = AFFINE,
    *,
    modality: str = "CT",
    intercept: float = -1024,
    order: Sequence[int] | None = None,
    per_frame: Sequence[str] = (),
) -> Series:
    """One enhanced image with a frame for each slice, in the array's order or another.

    Its pixel measures and orientation are shared, but for those ``per_frame``; with no shared group
    left, there is no sequence of them.
    """
    singles = series(voxels, affine, modality=modality, intercept=intercept)
    places = list(range(len(singles)) if order is None else order)
    one = _head(modality, "Doe^Jane", SERIES, f"{SERIES}.1")
    kind = EnhancedCTImageStorage if modality == "CT" else EnhancedMRImageStorage
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = kind
    shared = Dataset()
    geometry = {
        "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
        "PlaneOrientationSequence": ("ImageOrientationPatient",),
    }
    for sequence, keywords in geometry.items():
        if sequence not in per_frame:
            setattr(shared, sequence, [_item(singles[0], *keywords)])
    if shared:
        one.SharedFunctionalGroupsSequence = [shared]
    one.PerFrameFunctionalGroupsSequence = []
    for place in places:
        groups, content = Dataset(), Dataset()
        groups.PlanePositionSequence = [_item(singles[place], "ImagePositionPatient")]
        for sequence in per_frame:
            setattr(groups, sequence, [_item(singles[place], *geometry[sequence])])
        scale = _item(singles[place], "RescaleSlope", "RescaleIntercept")
        groups.PixelValueTransformationSequence = [scale]
        content.StackID, content.InStackPositionNumber = "1", place + 1
        groups.FrameContentSequence = [content]
        one.PerFrameFunctionalGroupsSequence.append(groups)
    pixels = np.stack([pixels_of(singles[place]) for place in places])
    set_pixels(one, pixels, bits=12)
    one.NumberOfFrames = len(places)
    return [one]


def set_pixels(one: Dataset, stored: NDArray[Any], *, bits: int | None = None) -> None:
    """Uncompressed pixels [row, column] or [frame, row, column]."""
    one.Rows, one.Columns = stored.shape[-2:]
    one.SamplesPerPixel = 1
    one.PhotometricInterpretation = one.get("PhotometricInterpretation", "MONOCHROME2")
    one.BitsAllocated = 8 * stored.dtype.itemsize
    one.BitsStored = bits or one.BitsAllocated
    one.HighBit = one.BitsStored - 1
    one.PixelRepresentation = int(stored.dtype.kind == "i")
    data = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    one.PixelData = data + b"\0" * (len(data) % 2)
    one["PixelData"].VR = "OW"


def pixels_of(one: Dataset) -> NDArray[Any]:
    """Stored numbers [row, column] of a classic, uncompressed image."""
    kind = f"<{'ui'[one.PixelRepresentation]}{one.BitsAllocated // 8}"
    size = one.Rows * one.Columns
    return np.frombuffer(one.PixelData, kind, count=size).reshape(one.Rows, one.Columns)


def changed(made: Iterable[Dataset], change: Callable[[int, Dataset], None]) -> Series:
    """A copy of a series, every image changed by a function of its place."""
    copies = [copy.deepcopy(one) for one in made]
    for k, one in enumerate(copies):
        change(k, one)
    return copies


def compressed(made: Iterable[Dataset], syntax: str, **options: Any) -> Series:
    """A copy of a series in another transfer syntax."""
    copies = [copy.deepcopy(one) for one in made]
    for one in copies:
        uid = one.SOPInstanceUID
        one.compress(syntax, generate_instance_uid=False, **options)
        assert uid == one.SOPInstanceUID
    return copies


def as_bytes(one: Dataset, *, plain: bool = False) -> bytes:
    """A DICOM file; ``plain``: without preamble and meta information, implicit little-endian."""
    file = BytesIO()
    if plain:
        dcmwrite(file, Dataset(one), implicit_vr=True, little_endian=True)
    else:
        dcmwrite(file, one, enforce_file_format=True)
    return file.getvalue()


def write(made: Iterable[Dataset], folder: Path) -> Path:
    """A folder with a file for each image, whose names do not tell their order."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(made):
        (folder / f"IM{(number * 7919) % 10007:05}").write_bytes(as_bytes(one))
    return folder


def _head(modality: str, patient: str, series_uid: str, uid: str) -> Dataset:
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
    one.SOPInstanceUID = UID(uid)
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
    one.file_meta.MediaStorageSOPInstanceUID = UID(uid)
    one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    one.StudyDate, one.StudyTime = "20260102", "101112"
    one.AccessionNumber = "A1234567"
    one.Modality = modality
    one.Manufacturer = "Maker"
    one.ReferringPhysicianName = "Referrer^Rita"
    one.StudyDescription = "Study of somebody"
    one.SeriesDescription = "Series of somebody"
    one.PatientName, one.PatientID = patient, f"ID-{patient}"
    one.PatientBirthDate, one.PatientSex = "19700102", "F"
    one.StudyInstanceUID, one.SeriesInstanceUID = STUDY, series_uid
    one.StudyID, one.SeriesNumber = "S77", 3
    one.FrameOfReferenceUID = REFERENCE
    one.PositionReferenceIndicator = ""
    return one


def _item(source: Dataset, *keywords: str) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        setattr(item, keyword, source.get(keyword))
    return item


def _decimals(values: Any) -> list[str]:
    """Numbers as DICOM writes them: decimal text of at most 16 characters."""
    return [f"{value:.10g}"[:16] for value in np.asarray(values, dtype=float) + 0.0]
