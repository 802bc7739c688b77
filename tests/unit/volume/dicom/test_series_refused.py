"""Odd series that are refused, each with its own code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGLSLossless,
)

from sammoe.errors import (
    DicomContrastUnclear,
    DicomFramesOfReference,
    DicomGeometryInvalid,
    DicomGeometryMissing,
    DicomInstancesConflict,
    DicomInvalid,
    DicomNoImages,
    DicomOrientationsDiffer,
    DicomPhasesMixed,
    DicomPixelsDamaged,
    DicomPixelsUnsupported,
    DicomRescaleInvalid,
    DicomSeveralPatients,
    DicomSeveralSeries,
    DicomSizesDiffer,
    DicomSlicesDoubled,
    DicomSlicesMissing,
    DicomSlicesShifted,
    DicomSpacingIrregular,
    SammoeError,
)
from tests.series import (
    SERIES,
    Series,
    changed,
    compressed,
    ct,
    enhanced,
    pixels_of,
    series,
    set_pixels,
)
from tests.unit.volume.dicom.plain import CT, PLAIN, WIDE, read


def moved(*places: int, by: tuple[float, float, float]) -> Callable[[int, Dataset], None]:
    def change(k: int, one: Dataset) -> None:
        if k in places:
            one.ImagePositionPatient = [
                f"{float(x) + d:.6g}" for x, d in zip(one.ImagePositionPatient, by, strict=True)
            ]

    return change


def every(keyword: str, value: Any, *, step: int = 1) -> Callable[[int, Dataset], None]:
    def change(k: int, one: Dataset) -> None:
        if k % step == 0:
            if value is None:
                delattr(one, keyword)
            else:
                setattr(one, keyword, value)

    return change


def second(made: Series, keyword: str = "AcquisitionNumber", value: Any = 2) -> Series:
    """Once more, at the same places, with something different."""

    def change(k: int, one: Dataset) -> None:
        one.SOPInstanceUID += ".2"
        setattr(one, keyword, value)

    return changed(made, change)


def with_table(k: int, one: Dataset) -> None:
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [1, 0, 16], b"\0\0"
    item["LUTDescriptor"].VR = "US"
    one.ModalityLUTSequence = [item]


def in_colour(k: int, one: Dataset) -> None:
    set_pixels(one, np.zeros((20, 24 * 3), np.uint8))
    one.Columns, one.SamplesPerPixel, one.PhotometricInterpretation = 24, 3, "RGB"
    one.PlanarConfiguration = 0


def in_floats(k: int, one: Dataset) -> None:
    one.FloatPixelData = pixels_of(one).astype(np.float32).tobytes()
    del one.PixelData


def in_bits(k: int, one: Dataset) -> None:
    one.BitsAllocated = one.BitsStored = 1
    one.HighBit = 0
    one.PixelData = bytes(60)


def beyond_its_bits(k: int, one: Dataset) -> None:
    set_pixels(one, pixels_of(one) | np.uint16(0x4000), bits=12)


def high_bits_first(k: int, one: Dataset) -> None:
    one.HighBit = 15


def cut_in_pixels(k: int, one: Dataset) -> None:
    if k == 5:
        one.PixelData = one.PixelData[:-100]


def wide_pixels(k: int, one: Dataset) -> None:
    if k == 5:
        one.PixelSpacing = ["0.7", "0.9"]


def damaged_code(k: int, one: Dataset) -> None:
    (frame,) = generate_frames(one.PixelData, number_of_frames=1)
    one.PixelData = encapsulate([frame[: len(frame) // 2]])


def without_frames(k: int, one: Dataset) -> None:
    del one.PerFrameFunctionalGroupsSequence


def fewer_frames(k: int, one: Dataset) -> None:
    del one.PerFrameFunctionalGroupsSequence[-1]


def doubled_frames(made: Series) -> Series:
    one = changed(made, lambda k, one: None)[0]
    frames = one.PerFrameFunctionalGroupsSequence
    for k, groups in enumerate(frames):
        groups.FrameContentSequence[0].TemporalPositionIndex = 1 + k % 2
    for k in range(0, len(frames), 2):
        frames[k + 1].PlanePositionSequence = frames[k].PlanePositionSequence
    return [one]


def no_hounsfield(k: int, one: Dataset) -> None:
    set_pixels(one, pixels_of(one) + np.uint16(1500), bits=12)
    one.PhotometricInterpretation = "MONOCHROME1"


def unmarked_localizer() -> Series:
    one = changed(PLAIN[:1], every("ImageOrientationPatient", ["0", "1", "0", "0", "0", "-1"]))
    one[0].SOPInstanceUID = "1.9"
    return one


def another(keyword: str, value: Any) -> Series:
    """The series, one image of which is another's."""
    return changed(PLAIN, lambda k, one: setattr(one, keyword, value) if k == 5 else None)


def interleaved(keyword: str, values: tuple[Any, Any]) -> Series:
    return changed(PLAIN, lambda k, one: setattr(one, keyword, values[k % 2]))


REFUSED: dict[str, tuple[Series, type[SammoeError], str]] = {
    "a slice is missing": (PLAIN[:5] + PLAIN[6:], DicomSlicesMissing, "1 slice.*5.000 mm.*2.500"),
    "slices are missing": (PLAIN[:2] + PLAIN[5:], DicomSlicesMissing, "3 slice"),
    "spacing changes": (
        changed(PLAIN, moved(*range(6, 12), by=(0, 0, 0.7))),
        DicomSpacingIrregular,
        "3.200 mm",
    ),
    "spacing grows": (
        changed(
            PLAIN, lambda k, one: setattr(one, "ImagePositionPatient", ["-10", "-20", f"{k * k}"])
        ),
        DicomSpacingIrregular,
        "even grid",
    ),
    "a slice is shifted": (
        changed(PLAIN, moved(5, by=(1.5, 0, 0))),
        DicomSlicesShifted,
        "Slice 6 of 12 lies 1.5",
    ),
    "two phases": (PLAIN + second(PLAIN), DicomPhasesMixed, "Each of 12 places has 2"),
    "two echoes": (
        PLAIN + second(PLAIN, "EchoTime", "4.6"),
        DicomPhasesMixed,
        "EchoTime has 2 values",
    ),
    "two phases, interleaved": (
        interleaved("TemporalPositionIdentifier", (1, 2)),
        DicomPhasesMixed,
        "TemporalPositionIdentifier has 2",
    ),
    "two kernels, one after the other": (
        changed(PLAIN, lambda k, one: setattr(one, "ConvolutionKernel", "B30" if k < 6 else "B70")),
        DicomPhasesMixed,
        "ConvolutionKernel",
    ),
    "a slice twice": (PLAIN + second(PLAIN[5:6]), DicomSlicesDoubled, "1 of 12 places"),
    "part of a second phase": (
        PLAIN + second(PLAIN[:6], "DiffusionBValue", 800.0),
        DicomPhasesMixed,
        "6 of 12 places",
    ),
    "a localizer that does not say so": (
        PLAIN + unmarked_localizer(),
        DicomOrientationsDiffer,
        "13 slices have 2 orientations, up to 90",
    ),
    "a slice is turned a little": (
        changed(
            PLAIN,
            lambda k, one: (
                setattr(
                    one,
                    "ImageOrientationPatient",
                    ["0.9986295", "0.0523360", "0", "-0.0523360", "0.9986295", "0"],
                )
                if k == 5
                else None
            ),
        ),
        DicomOrientationsDiffer,
        "2 orientations",
    ),
    "two series": (another("SeriesInstanceUID", "1.2.3"), DicomSeveralSeries, "of 11, 1 images"),
    "two studies": (another("StudyInstanceUID", "1.2.3"), DicomSeveralSeries, "2 series"),
    "two modalities": (another("Modality", "MR"), DicomSeveralSeries, "2 modalities"),
    "two patients": (another("PatientID", "other"), DicomSeveralPatients, "2 patients"),
    "two names": (another("PatientName", "Roe^Richard"), DicomSeveralPatients, "2 patients"),
    "two frames of reference": (
        another("FrameOfReferenceUID", "1.2"),
        DicomFramesOfReference,
        "of 11, 1",
    ),
    "one UID for two images": (
        another("SOPInstanceUID", f"{SERIES}.1"),
        DicomInstancesConflict,
        "2 different files",
    ),
    "another size": (
        PLAIN[:5] + series(ct((20, 20, 12)))[5:],
        DicomSizesDiffer,
        "20 x 20: 7, 24 x 20: 5",
    ),
    "other pixels": (changed(PLAIN, wide_pixels), DicomSizesDiffer, "0.7 x 0.8 mm: 11"),
    "no position": (
        changed(PLAIN, every("ImagePositionPatient", None, step=5)),
        DicomGeometryMissing,
        "ImagePosition",
    ),
    "no orientation": (
        changed(PLAIN, every("ImageOrientationPatient", None)),
        DicomGeometryMissing,
        "ImageOrient",
    ),
    "no pixel spacing": (
        changed(PLAIN, every("PixelSpacing", "")),
        DicomGeometryMissing,
        "PixelSpacing",
    ),
    "one slice of no thickness": (
        changed(PLAIN[:1], every("SliceThickness", None)),
        DicomGeometryMissing,
        "one slice",
    ),
    "an orientation that is none": (
        changed(PLAIN, every("ImageOrientationPatient", ["1", "0", "0", "0.5", "0.8", "0"])),
        DicomGeometryInvalid,
        "right angle",
    ),
    "pixels of no size": (
        changed(PLAIN, every("PixelSpacing", ["0", "0"])),
        DicomGeometryInvalid,
        "0 x 0 mm",
    ),
    "far away": (
        changed(PLAIN, every("ImagePositionPatient", ["1e9", "0", "0"])),
        DicomGeometryInvalid,
        "farther",
    ),
    "a table of values": (changed(PLAIN, with_table), DicomRescaleInvalid, "table"),
    "a slope of 0": (
        changed(PLAIN, every("RescaleSlope", "0")),
        DicomRescaleInvalid,
        "by 0 and -1024",
    ),
    "colour": (changed(PLAIN, in_colour), DicomPixelsUnsupported, "3 sample"),
    "floats": (changed(PLAIN, in_floats), DicomPixelsUnsupported, "floats"),
    "single bits": (changed(PLAIN, in_bits), DicomPixelsUnsupported, "1 bits"),
    "more bits than said": (
        changed(PLAIN, beyond_its_bits),
        DicomPixelsUnsupported,
        "12 bits, but uses more",
    ),
    "bits from the top": (changed(PLAIN, high_bits_first), DicomPixelsUnsupported, "highest at 15"),
    "fewer pixels than declared": (changed(PLAIN, cut_in_pixels), DicomPixelsDamaged, "860 bytes"),
    "damaged JPEG 2000": (
        changed(compressed(series(WIDE), JPEG2000Lossless), damaged_code),
        DicomPixelsDamaged,
        "decoded",
    ),
    "damaged JPEG-LS": (
        changed(compressed(PLAIN, JPEGLSLossless), damaged_code),
        DicomPixelsDamaged,
        "decoded",
    ),
    "frames without places": (
        changed(enhanced(CT), without_frames),
        DicomPixelsUnsupported,
        "12 frames",
    ),
    "frames that are not described": (
        changed(enhanced(CT), fewer_frames),
        DicomInvalid,
        "12 frames describes 11",
    ),
    "an enhanced image of two phases": (
        doubled_frames(enhanced(CT)),
        DicomPhasesMixed,
        "6 places has 2",
    ),
    "MONOCHROME1 that is no CT": (
        changed(PLAIN, no_hounsfield),
        DicomContrastUnclear,
        "MONOCHROME1",
    ),
    "nothing": ([], DicomNoImages, "0 DICOM"),
    "only localizers": (
        changed(PLAIN[:2], every("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]))[:0],
        DicomNoImages,
        "no image",
    ),
}


@pytest.mark.fault("S10")
@pytest.mark.parametrize("kind", REFUSED)
def test_refused_with_its_own_code(kind: str, tmp_path: Path) -> None:
    made, error, message = REFUSED[kind]

    with pytest.raises(error, match=message) as caught:
        read(made, tmp_path)

    assert type(caught.value) is error
    assert "Doe" not in caught.value.detail
    assert SERIES not in caught.value.detail
