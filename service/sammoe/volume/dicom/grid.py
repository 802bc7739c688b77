"""From the places of slices to one grid: their order, and the affine, checked against each of them.

Slices are ordered by where they lie along the normal, never by a number that somebody gave them.
The affine is made of the first slice and the last; it counts only if it puts the corners of every
slice where that slice itself says they are, within a small part of the distance between slices.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sammoe.errors import (
    DicomGeometryMissing,
    DicomOrientationsDiffer,
    DicomPhasesMixed,
    DicomSizesDiffer,
    DicomSlicesDoubled,
    DicomSlicesMissing,
    DicomSlicesShifted,
    DicomSpacingIrregular,
)
from sammoe.volume.dicom.instance import Frame

_SAME_PLACE_MM: Final = 0.01
_PART: Final = 0.05
"""Of the distance between slices, or of a pixel: how far off a slice may be."""
_LEAST_MM: Final = 0.02
"""Positions are written with few digits; so much is never held against them."""
_WHOLE: Final = 0.2
"""How far a gap may be from a multiple of the usual distance to count as missing slices."""
_SHOWN: Final = 8

Array = NDArray[np.float64]


def fit_grid(frames: Sequence[Frame], rows: int, columns: int) -> tuple[list[int], Array]:
    """Find the grid that frames lie on.

    Parameters
    ----------
    frames
        At least one.
    rows, columns
        Pixels of each.

    Returns
    -------
    The order of the frames along the normal (the product of row and column direction), as indices;
    and the affine [4, 4], (column, row, slice) to RAS+ mm. A gantry's tilt makes it sheared.

    Raises
    ------
    DicomOrientationsDiffer, DicomSizesDiffer
        The frames are not parallel, or their pixels differ in size.
    DicomPhasesMixed, DicomSlicesDoubled
        More than one frame lies at a place, or they are of several phases.
    DicomSlicesMissing, DicomSpacingIrregular, DicomSlicesShifted
        They do not lie at even distances along one line.
    DicomGeometryMissing
        There is one frame alone, and nothing says how thick it is.
    """
    planes = [frame.plane for frame in frames]
    along_row, along_column = np.array(planes[0].along_row), np.array(planes[0].along_column)
    between_rows, between_columns = planes[0].spacing
    _check_sizes(frames, rows, columns)
    _check_parallel(frames, rows, columns)
    normal = np.cross(along_row, along_column)
    positions = np.array([plane.position for plane in planes])
    order = [int(number) for number in np.argsort(positions @ normal, kind="stable")]
    positions = positions[order]
    _check_phases(frames, positions @ normal)
    if len(frames) == 1:
        if not planes[0].thickness or planes[0].thickness < _SAME_PLACE_MM:
            raise DicomGeometryMissing(
                "There is one slice alone, and nothing says how thick it is; a scan has several."
            )
        step = normal * planes[0].thickness
    else:
        _check_even(positions @ normal)
        step = (positions[-1] - positions[0]) / (len(positions) - 1)
        _check_line(positions, step, min(between_rows, between_columns))
    affine = np.eye(4)
    affine[:3, 0] = along_row * between_columns
    affine[:3, 1] = along_column * between_rows
    affine[:3, 2] = step
    affine[:3, 3] = positions[0]
    affine[:2] *= -1
    return order, affine


def tilt_degrees(affine: Array) -> float:
    """How far the way from slice to slice is off their normal."""
    columns = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    normal = np.cross(columns[:, 0], columns[:, 1])
    cosine = min(1.0, abs(float(normal @ columns[:, 2])) / float(np.linalg.norm(normal)))
    return float(np.degrees(np.arccos(cosine)))


def _tolerance(distance: float) -> float:
    return max(_LEAST_MM, _PART * distance)


def _check_sizes(frames: Sequence[Frame], rows: int, columns: int) -> None:
    spacings = np.array([frame.plane.spacing for frame in frames])
    off = np.abs(spacings - spacings[0]) * (rows, columns)
    if off.max() > _tolerance(float(spacings[0].min())):
        listed = Counter(f"{a:g} x {b:g}" for a, b in spacings.tolist()).most_common(_SHOWN)
        shown = ", ".join(f"{size} mm: {count}" for size, count in listed)
        raise DicomSizesDiffer(f"The slices have pixels of different sizes ({shown}).")


def _check_parallel(frames: Sequence[Frame], rows: int, columns: int) -> None:
    vectors = np.array([(frame.plane.along_row, frame.plane.along_column) for frame in frames])
    between_rows, between_columns = frames[0].plane.spacing
    reach = np.array([columns * between_columns, rows * between_rows])
    away = np.linalg.norm(vectors - vectors[0], axis=2) * reach
    if away.max() > _tolerance(min(between_rows, between_columns)):
        different = len({tuple(map(tuple, np.round(pair, 3).tolist())) for pair in vectors})
        normals = np.cross(vectors[:, 0], vectors[:, 1])
        angle = np.degrees(np.arccos(np.clip(normals @ normals[0], -1, 1)).max())
        raise DicomOrientationsDiffer(
            f"The {len(frames)} slices have {different} orientations, up to {angle:.1f} degrees "
            "apart: they are no one volume."
        )


def _check_phases(frames: Sequence[Frame], depths: Array) -> None:
    differing = _differing(frames)
    said = "" if not differing else f" ({', '.join(differing)})"
    # Depths ascend: a new place begins wherever they make a step.
    begins = np.flatnonzero(np.diff(depths, prepend=depths[0] - 1) > _SAME_PLACE_MM)
    counts = np.diff(np.append(begins, len(depths)))
    if counts.max() == 1:
        if differing:
            raise DicomPhasesMixed(
                f"The {len(frames)} slices are of several phases, echoes or reconstructions"
                f"{said}; send one."
            )
        return
    if counts.min() == counts.max():
        raise DicomPhasesMixed(
            f"Each of {len(counts)} places has {counts[0]} slices: several phases, echoes or "
            f"reconstructions{said}; send one."
        )
    doubled = int((counts > 1).sum())
    if differing:
        raise DicomPhasesMixed(
            f"{doubled} of {len(counts)} places have up to {counts.max()} slices: several phases, "
            f"echoes or reconstructions{said}; send one."
        )
    raise DicomSlicesDoubled(
        f"{doubled} of {len(counts)} places have more than one slice (up to {counts.max()})."
    )


def _differing(frames: Sequence[Frame]) -> list[str]:
    """What differs between the frames, with the number of its values."""
    counted = []
    for values in zip(*(frame.traits for frame in frames), strict=True):
        different = {value for _, value in values}
        if len(different) > 1:
            counted.append(f"{values[0][0]} has {len(different)} values")
    return counted


def _check_even(depths: Array) -> None:
    gaps = np.diff(depths)
    usual = float(np.median(gaps))
    even = (depths[-1] - depths[0]) / len(gaps)
    off = np.abs(depths - (depths[0] + even * np.arange(len(depths)))).max()
    if off <= _tolerance(even):
        return
    steps = np.rint(gaps / usual)
    if steps.min() >= 1 and np.abs(gaps / usual - steps).max() <= _WHOLE and steps.max() > 1:
        at = int(np.argmax(steps))
        missing = int((steps - 1).sum())
        raise DicomSlicesMissing(
            f"{missing} slice(s) are missing: slices {at + 1} and {at + 2} of {len(depths)} are "
            f"{gaps[at]:.3f} mm apart, others {usual:.3f} mm."
        )
    raise DicomSpacingIrregular(
        f"The distance between slices goes from {gaps.min():.3f} to {gaps.max():.3f} mm "
        f"(usually {usual:.3f}): they lie on no even grid, up to {off:.3f} mm off."
    )


def _check_line(positions: Array, step: Array, pixel: float) -> None:
    line = positions[0] + np.arange(len(positions))[:, None] * step
    off = np.linalg.norm(positions - line, axis=1)
    allowed = _tolerance(min(pixel, float(np.linalg.norm(step))))
    if off.max() > allowed:
        at = int(np.argmax(off))
        raise DicomSlicesShifted(
            f"Slice {at + 1} of {len(positions)} lies {off[at]:.3f} mm off the line from the first "
            f"to the last; {allowed:.3f} mm are allowed."
        )
