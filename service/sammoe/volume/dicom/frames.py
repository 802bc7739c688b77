"""The frames of an instance: where each lies and how its values are scaled.

Classic images say so once, for their one frame; enhanced ones for each frame in functional groups
(PS3.3, C.7.6.16), in which a group that is the same for all frames is shared.
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from pydicom import Dataset

from sammoe.errors import (
    DicomGeometryInvalid,
    DicomGeometryMissing,
    DicomInvalid,
    DicomPixelsUnsupported,
    DicomRescaleInvalid,
)
from sammoe.volume.dicom.instance import Frame, Plane
from sammoe.volume.dicom.values import items, number, numbers, text, whole
from sammoe.volume.geometry import MAX_OFFSET_MM, MAX_SPACING_MM, MIN_SPACING_MM

_SQUARE: Final = 1e-3
"""How far an orientation's vectors may be off unit length and a right angle."""

_MAX_SCALE: Final = 1e12
"""Greater slopes and intercepts are no scan's."""

_TRAITS: Final = (
    "ConvolutionKernel",
    "DiffusionBValue",
    "EchoNumbers",
    "EchoTime",
    "KVP",
    "NominalPercentageOfCardiacPhase",
    "TemporalPositionIdentifier",
)
_ENHANCED_TRAITS: Final = (
    ("CardiacSynchronizationSequence", "NominalPercentageOfCardiacPhase"),
    ("CTReconstructionSequence", "ConvolutionKernel"),
    ("FrameContentSequence", "StackID"),
    ("FrameContentSequence", "TemporalPositionIndex"),
    ("MRDiffusionSequence", "DiffusionBValue"),
    ("MREchoSequence", "EffectiveEchoTime"),
)

_Group = Callable[[str], Dataset]
"""A functional group by its sequence: the only item, empty where there is none."""


def frames_of(dataset: Dataset) -> tuple[Frame, ...]:
    """The frames of an image.

    Raises
    ------
    DicomGeometryMissing, DicomGeometryInvalid
        A frame does not say where it lies, or what can not be.
    DicomRescaleInvalid
        Its values are not stored numbers times a slope plus an intercept.
    DicomPixelsUnsupported
        It has several frames and nothing that places them.
    DicomInvalid
        The functional groups are not those of its frames.
    """
    count = whole(dataset, "NumberOfFrames") or 1
    per_frame = items(dataset, "PerFrameFunctionalGroupsSequence")
    if per_frame:
        if len(per_frame) != count:
            raise DicomInvalid(
                f"An image of {count} frames describes {len(per_frame)}: it is damaged."
            )
        shared = items(dataset, "SharedFunctionalGroupsSequence")
        groups = [_groups(own, shared) for own in per_frame]
        return tuple(_enhanced(number, group) for number, group in enumerate(groups))
    if count > 1:
        raise DicomPixelsUnsupported(
            f"An image has {count} frames and does not say where each lies; "
            "send single slices, or an enhanced multi-frame image."
        )
    return (Frame(0, _plane(dataset, dataset, dataset), *_scale(dataset), _traits(dataset)),)


def group_of(dataset: Dataset, number: int, sequence: str) -> Dataset:
    """A functional group of a frame, its own or the one shared by all: the only item.

    Parameters
    ----------
    dataset
        An enhanced image.
    number
        Of the frame, from 1.
    sequence
        Keyword of the group.

    Returns
    -------
    An empty dataset where there is none.
    """
    own = items(dataset, "PerFrameFunctionalGroupsSequence")[number - 1]
    return _groups(own, items(dataset, "SharedFunctionalGroupsSequence"))(sequence)


def _groups(own: Dataset, shared: list[Dataset]) -> _Group:
    def find(sequence: str) -> Dataset:
        for groups in (own, *shared[:1]):
            found = items(groups, sequence)
            if found:
                return found[0]
        return Dataset()

    return find


def _enhanced(number: int, group: _Group) -> Frame:
    plane = _plane(
        group("PlanePositionSequence"),
        group("PlaneOrientationSequence"),
        group("PixelMeasuresSequence"),
    )
    traits = tuple(
        (keyword, _rounded(text(group(sequence), keyword)))
        for sequence, keyword in _ENHANCED_TRAITS
    )
    return Frame(number, plane, *_scale(group("PixelValueTransformationSequence")), traits)


def _plane(position: Dataset, orientation: Dataset, measures: Dataset) -> Plane:
    place = numbers(position, "ImagePositionPatient", 3)
    cosines = numbers(orientation, "ImageOrientationPatient", 6)
    spacing = numbers(measures, "PixelSpacing", 2)
    if place is None or cosines is None or spacing is None:
        missing = [
            name
            for name, value in (
                ("ImagePositionPatient", place),
                ("ImageOrientationPatient", cosines),
                ("PixelSpacing", spacing),
            )
            if value is None
        ]
        raise DicomGeometryMissing(f"An image has no {', '.join(missing)}: it has no place.")
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    lengths = float(np.linalg.norm(row)), float(np.linalg.norm(column))
    off = max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(float(row @ column)))
    if off > _SQUARE:
        raise DicomGeometryInvalid(
            f"An image's orientation has vectors of lengths {lengths[0]:.4g} and {lengths[1]:.4g} "
            f"with a scalar product of {float(row @ column):.4g}: they must be unit vectors at a "
            "right angle."
        )
    if not all(MIN_SPACING_MM <= size <= MAX_SPACING_MM for size in spacing):
        raise DicomGeometryInvalid(
            f"An image has pixels of {spacing[0]:g} x {spacing[1]:g} mm; each must be within "
            f"{MIN_SPACING_MM:g} .. {MAX_SPACING_MM:g}."
        )
    if max(map(abs, place)) > MAX_OFFSET_MM:
        raise DicomGeometryInvalid(f"An image lies farther than {MAX_OFFSET_MM:g} mm away.")
    row, column = row / lengths[0], column / lengths[1]
    return Plane(
        position=(place[0], place[1], place[2]),
        along_row=(float(row[0]), float(row[1]), float(row[2])),
        along_column=(float(column[0]), float(column[1]), float(column[2])),
        spacing=(spacing[0], spacing[1]),
        thickness=number(measures, "SpacingBetweenSlices") or number(measures, "SliceThickness"),
    )


def _scale(dataset: Dataset) -> tuple[float, float]:
    """Slope and intercept."""
    if items(dataset, "ModalityLUTSequence"):
        raise DicomRescaleInvalid(
            "An image maps its pixels to values by a table (Modality LUT); only a slope and an "
            "intercept can be used."
        )
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    slope = 1.0 if slope is None else slope
    intercept = 0.0 if intercept is None else intercept
    if slope == 0 or max(abs(slope), abs(intercept)) > _MAX_SCALE:
        raise DicomRescaleInvalid(
            f"An image scales its pixels by {slope:g} and {intercept:g}; write it anew."
        )
    return slope, intercept


def _traits(dataset: Dataset) -> tuple[tuple[str, str], ...]:
    return tuple((keyword, _rounded(text(dataset, keyword))) for keyword in _TRAITS)


def _rounded(value: str) -> str:
    """Numbers to three digits: echo times of one echo may differ by a hair."""
    try:
        measured = float(value)
    except ValueError:
        return value
    return f"{measured:.3g}" if math.isfinite(measured) else value
