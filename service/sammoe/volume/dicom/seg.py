"""DICOM Segmentation (PS3.3, A.51 and A.87) on the frames that the volume came from.

highdicom writes the pixels and the functional groups. It sees no patient: what it is shown as its
source images holds geometry and UIDs alone, since it would look at names and ages, and complain.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes

from sammoe import __version__
from sammoe.errors import NoDicomSource, StructureEmpty, TooLarge
from sammoe.volume.dicom.frames import group_of
from sammoe.volume.dicom.instances import (
    MANUFACTURER,
    MODEL,
    Identity,
    algorithm_name,
    algorithm_version,
    dates,
    derived_uid,
    describe,
    device,
    encode,
)
from sammoe.volume.dicom.origin import Origin, origins
from sammoe.volume.dicom.source import DicomSource
from sammoe.volume.geometry import Geometry
from sammoe.volume.structures import Code, Shape, Structure, label_map

if TYPE_CHECKING:
    from highdicom.seg import Segmentation, SegmentDescription

SegForm = Literal["BINARY", "LABELMAP"]
"""BINARY: one bit a voxel and structure, read everywhere. LABELMAP: one number a voxel, new in
2024, smaller with many structures."""

MAX_STACK: Final = 1 << 31
"""Bytes that structures which overlap may take while they are written, one byte a voxel each."""

_DESCRIPTION: Final = "Interactive segmentation, research use"


def write_seg(
    structures: Sequence[Structure],
    geometry: Geometry,
    source: DicomSource,
    identity: Identity,
    form: SegForm = "BINARY",
) -> bytes:
    """Write structures as a DICOM SEG file; equal arguments give equal bytes.

    Parameters
    ----------
    structures, geometry
        Masks on the volume's grid.
    source
        The series that the volume was read from.
    form
        See `SegForm`.

    Raises
    ------
    NoDicomSource
        The series can not be referred to.
    StructureEmpty
        A structure has no voxel.
    StructuresOverlap
        Structures share voxels, and ``form`` is LABELMAP.
    TooLarge
        Structures that overlap, too many for this volume.
    """
    from highdicom.seg import Segmentation  # takes most of a second, once

    came_from = origins(source, geometry)
    check_none_empty(structures)
    seg = Segmentation(
        source_images=_sources(came_from),
        pixel_array=_pixels(structures, geometry.shape, form, came_from),
        segmentation_type=form,
        segment_descriptions=[
            _description(number, structure) for number, structure in enumerate(structures, 1)
        ],
        series_instance_uid=identity.series_uid,
        series_number=9001,
        sop_instance_uid=identity.sop_uid,
        instance_number=identity.revision,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=__version__,
        device_serial_number=device(structures),
        content_label="SEGMENTATION",
        content_description=_DESCRIPTION,
        series_description=_DESCRIPTION,
    )
    _put_background_last(seg)
    _fill_bytes(seg, came_from)
    describe(seg, came_from[0].instance, identity)
    _settle(seg, *dates(came_from[0].instance, identity.changed))
    return encode(seg)


def check_none_empty(structures: Sequence[Structure]) -> None:
    """Raise `StructureEmpty` for the first structure without voxels."""
    for place, structure in enumerate(structures):
        if not structure.pasted.mask.size:
            raise StructureEmpty(
                f"Structure {place + 1} has no voxel (merge may have given them to others): take it"
                " out of the result, or change merge.",
                pointer=f"/entries/{place}",
            )


def code_item(code: Code) -> Any:
    """A code as pydicom's and highdicom's functions take it."""
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, code.meaning)


def _description(number: int, structure: Structure) -> "SegmentDescription":
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription

    algorithm, identification = structure.algorithm, None
    if algorithm is not None:
        identification = AlgorithmIdentificationSequence(
            name=algorithm_name(algorithm),
            family=codes.DCM.ArtificialIntelligence,
            version=algorithm_version(algorithm),
            source=MANUFACTURER,
            parameters={"decoder": algorithm.decoder, "bundle": algorithm.bundle},
        )
    return SegmentDescription(
        segment_number=number,
        segment_label=structure.label,
        segmented_property_category=code_item(structure.category),
        segmented_property_type=code_item(structure.code),
        algorithm_type="MANUAL" if identification is None else "SEMIAUTOMATIC",
        algorithm_identification=identification,
        tracking_uid=structure.tracking_uid,
        tracking_id=structure.label,
        display_color=CIELabColor.from_rgb(*structure.colour),
    )


def _pixels(
    structures: Sequence[Structure],
    shape: Shape,
    form: SegForm,
    came_from: Sequence[Origin],
) -> NDArray[np.uint8]:
    """What highdicom takes: [frame, row, column] of numbers, or [..., structure] of 0 and 1."""
    masks = [structure.pasted for structure in structures]
    if form == "LABELMAP" or not _share_voxels(structures, shape):
        return _by_frame(label_map(masks, shape), came_from)
    if len(masks) * int(np.prod(shape)) > MAX_STACK:
        raise TooLarge(
            f"{len(masks)} structures that overlap, in a volume of this size, are too many for one"
            " DICOM SEG: change the result's merge to keep_existing or overwrite."
        )
    return np.stack([_by_frame(mask.full(shape), came_from) for mask in masks], axis=-1)


def _share_voxels(structures: Sequence[Structure], shape: Shape) -> bool:
    taken = np.zeros(shape, dtype=np.bool_, order="F")
    for structure in structures:
        mask, offset = structure.pasted.mask, structure.pasted.offset
        place = taken[tuple(slice(o, o + n) for o, n in zip(offset, mask.shape, strict=True))]
        if (place & mask).any():
            return True
        place |= mask
    return False


def _by_frame(numbers: NDArray[np.uint8], came_from: Sequence[Origin]) -> NDArray[np.uint8]:
    """[i, j, k] to [frame, row, column]: slices as they are, or in the order of their frames."""
    slices = numbers.transpose(2, 1, 0)
    if came_from[0].frame is None:
        return slices
    count = int(came_from[0].instance.NumberOfFrames)
    frames = np.zeros((count, *slices.shape[1:]), dtype=np.uint8)
    for origin, one in zip(came_from, slices, strict=True):
        assert origin.frame is not None
        frames[origin.frame - 1] = one
    return frames


def _sources(came_from: Sequence[Origin]) -> list[Dataset]:
    """Stand-ins for the source images: UIDs, size and place of each, and nobody's name."""
    first = came_from[0]
    if first.frame is None:
        return [_stand_in(origin, first) for origin in came_from]
    if any(origin.instance is not first.instance for origin in came_from):
        raise NoDicomSource(
            "The series of this volume has several multi-frame images, and a DICOM SEG can refer to"
            " the frames of one: fetch NIfTI or NRRD."
        )
    return [_stand_in_of_frames(first)]


def _bare(instance: Dataset) -> Dataset:
    bare = Dataset()
    for keyword in (
        *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality"),
        *("Rows", "Columns", "FrameOfReferenceUID", "NumberOfFrames", "LossyImageCompression"),
        *("LossyImageCompressionRatio", "LossyImageCompressionMethod"),
    ):
        if keyword in instance:
            bare[keyword] = instance[keyword]
    for keyword in (
        *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber"),
        *("StudyID", "StudyDate", "StudyTime"),
    ):
        setattr(bare, keyword, None)
    return bare


def _stand_in(origin: Origin, first: Origin) -> Dataset:
    bare, instance, plane = _bare(origin.instance), origin.instance, first.plane
    bare.ImagePositionPatient = instance.ImagePositionPatient
    # One for all: slices of one series may differ in the last digit, and a SEG says it once.
    bare.ImageOrientationPatient = first.instance.ImageOrientationPatient
    bare.PixelSpacing = first.instance.PixelSpacing
    bare.SliceThickness = first.instance.get("SliceThickness") or plane.thickness
    return bare


def _stand_in_of_frames(first: Origin) -> Dataset:
    bare, instance, number = _bare(first.instance), first.instance, first.frame
    assert number is not None
    bare.ImageType = instance.get("ImageType", ["DERIVED", "PRIMARY"])
    # One for all here, too: an image may say it for each frame, and highdicom reads what is shared.
    shared = Dataset()
    for sequence in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        setattr(shared, sequence, [group_of(instance, number, sequence)])
    bare.SharedFunctionalGroupsSequence = [shared]
    bare.PerFrameFunctionalGroupsSequence = []
    for frame in range(1, int(instance.NumberOfFrames) + 1):
        own = Dataset()
        own.PlanePositionSequence = [group_of(instance, frame, "PlanePositionSequence")]
        bare.PerFrameFunctionalGroupsSequence.append(own)
    return bare


def _put_background_last(seg: "Segmentation") -> None:
    """A label map tells what 0 is as well: after the structures, whose colours OHIF 3.13 counts."""
    seg.SegmentSequence = sorted(
        seg.SegmentSequence, key=lambda one: (one.SegmentNumber == 0, one.SegmentNumber)
    )


def _fill_bytes(seg: "Segmentation", came_from: Sequence[Origin]) -> None:
    """Add empty frames until all frames fill as many bytes as make OHIF 3.13 show no wrong mask.

    DICOM pads an odd number of bytes with one, which dcmjs in OHIF takes for a fault: it does not
    load the file. So frames of whole bytes are to fill an even number. Where frames begin within a
    byte (rows x columns is no multiple of 8), it takes the bits in the wrong order and shows
    another mask: so those are to fill an odd number, and are not loaded.

    A frame of zeros says what the missing frame says, and is as legal. It is of the last structure,
    on a slice where that has none. Where each structure is on each slice, there is none to add: a
    label map then has two bytes a voxel.
    """
    bits = int(seg.Rows) * int(seg.Columns) * int(seg.BitsAllocated)
    whole, rest = divmod(bits * int(seg.NumberOfFrames), 8)
    wanted = 1 if bits % 8 else 0
    while -(-bits * int(seg.NumberOfFrames) // 8) % 2 != wanted:
        if not _add_empty_frame(seg, came_from):
            break
    # The frames' own bits alone: what highdicom pads with is not always zero.
    pixels = seg.PixelData[:whole]
    if rest:
        pixels += bytes([seg.PixelData[whole] & ((1 << rest) - 1)])
    size = -(-bits * int(seg.NumberOfFrames) // 8)
    seg.PixelData = pixels.ljust(size + size % 2, b"\0")
    if size % 2 and seg.BitsAllocated == 8:
        seg.BitsAllocated = seg.BitsStored = 16
        seg.HighBit = 15
        seg.PixelData = np.frombuffer(pixels, np.uint8).astype("<u2").tobytes()


def _add_empty_frame(seg: "Segmentation", came_from: Sequence[Origin]) -> bool:
    items = seg.PerFrameFunctionalGroupsSequence
    last = items[-1]
    slices = {_referred(origin): n for n, origin in enumerate(came_from)}
    own = sorted(
        slices[_refers_to(item)] for item in items if _segment_of(item) == _segment_of(last)
    )
    free = sorted(
        set(range(len(came_from))) - set(own), key=lambda n: min(abs(n - own[0]), abs(n - own[-1]))
    )
    if not free:
        return False
    origin = came_from[free[0]]
    added = deepcopy(last)
    added.PlanePositionSequence[0].ImagePositionPatient = _position(origin)
    reference = added.DerivationImageSequence[0].SourceImageSequence[0]
    reference.ReferencedSOPInstanceUID = origin.instance.SOPInstanceUID
    if origin.frame is not None:
        reference.ReferencedFrameNumber = origin.frame
    items.append(added)
    seg.NumberOfFrames = len(items)
    _number_positions(items, slices)
    return True


def _number_positions(items: Sequence[Dataset], slices: dict[tuple[str, int | None], int]) -> None:
    """Number the slices that have frames anew, in the direction that they were numbered in."""
    places = [slices[_refers_to(item)] for item in items]
    ranks = [_indices(item)[-1] for item in items[:-1]]
    first, last = places[int(np.argmin(ranks))], places[int(np.argmax(ranks))]
    used = sorted(set(places), reverse=first > last)
    for item, place in zip(items, places, strict=True):
        numbers = [*_indices(item)[:-1], used.index(place) + 1]
        item.FrameContentSequence[0].DimensionIndexValues = numbers


def _indices(item: Dataset) -> list[int]:
    """A frame's places in the dimensions: in that of segments, but for a label map, and slices."""
    values = item.FrameContentSequence[0].DimensionIndexValues
    return [int(values)] if isinstance(values, int) else [int(value) for value in values]


def _referred(origin: Origin) -> tuple[str, int | None]:
    return str(origin.instance.SOPInstanceUID), origin.frame


def _refers_to(item: Dataset) -> tuple[str, int | None]:
    reference = item.DerivationImageSequence[0].SourceImageSequence[0]
    frame = reference.get("ReferencedFrameNumber")
    return str(reference.ReferencedSOPInstanceUID), None if frame is None else int(frame)


def _segment_of(item: Dataset) -> int | None:
    """Number of a frame's segment; None where all frames share it."""
    found = item.get("SegmentIdentificationSequence")
    return int(found[0].ReferencedSegmentNumber) if found else None


def _position(origin: Origin) -> Any:
    if origin.frame is None:
        return origin.instance.ImagePositionPatient
    return group_of(origin.instance, origin.frame, "PlanePositionSequence").ImagePositionPatient


def _settle(seg: Dataset, date: str, time: str) -> None:
    """Where highdicom made up a UID or took the time of now, put what is the same the next time."""
    uid = derived_uid(f"dimensions {seg.SOPInstanceUID}")
    seg.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid
    for item in seg.DimensionIndexSequence:
        item.DimensionOrganizationUID = uid
    for item in seg.get("ContributingEquipmentSequence", ()):
        item.ContributionDateTime = date + time
    seg.ContentDate, seg.ContentTime = date, time
    seg.ContentCreatorName = None
