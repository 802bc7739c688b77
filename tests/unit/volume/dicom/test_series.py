"""Odd series that are read right, and what is told of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from sammoe.volume.dicom.series import read_series
from sammoe.volume.limits import ReadLimits
from sammoe.volume.volume import Modality, ModalitySource, Volume
from tests.series import (
    AFFINE,
    GEOMETRY,
    REFERENCE,
    SERIES,
    STUDY,
    Series,
    as_bytes,
    changed,
    compressed,
    enhanced,
    pixels_of,
    series,
    set_pixels,
    write,
)
from tests.unit.volume.dicom.plain import CT, MR, PLAIN, WIDE, read


def rotated(*degrees: float, sizes: tuple[float, float, float] = (0.8, 0.7, 2.5)) -> Any:
    """An affine turned around x, then y, then z."""
    affine = np.eye(4)
    for axis, angle in enumerate(np.radians(degrees)):
        turn = np.eye(4)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn[[a, a, b, b], [a, b, a, b]] = (
            np.cos(angle),
            -np.sin(angle),
            np.sin(angle),
            np.cos(angle),
        )
        affine = turn @ affine
    affine[:3, :3] *= sizes
    affine[:3, 3] = (-11, 22, 33)
    return affine


def sheared(millimetres: float) -> NDArray[np.float64]:
    """An axial affine whose slices step so far to the front, too: a tilted gantry."""
    affine = AFFINE.copy()
    affine[1, 2] = millimetres
    return affine


def assert_equal(found: Volume, voxels: NDArray[Any], affine: NDArray[np.float64]) -> None:
    """The same values at the same places; the slices' order may be the other one."""
    if float(found.geometry.affine[:3, 2] @ affine[:3, 2]) < 0:
        last = affine @ np.array([0, 0, voxels.shape[2] - 1, 1.0])
        affine = affine * np.array([1, 1, -1, 1.0])
        affine[:, 3] = last
        voxels = voxels[:, :, ::-1]
    np.testing.assert_allclose(found.geometry.affine, affine, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found.voxels, voxels)


def numbered(k: int, one: Dataset) -> None:
    one.InstanceNumber = 1000 - k


def scaled(slopes: Callable[[int], float]) -> Callable[[int, Dataset], None]:
    def change(k: int, one: Dataset) -> None:
        one.RescaleSlope = str(slopes(k))

    return change


def signed(k: int, one: Dataset) -> None:
    stored = pixels_of(one).astype(np.int16) - 1024
    set_pixels(one, stored.astype(np.int16))
    one.RescaleIntercept = "0"


def signed_without_extension(k: int, one: Dataset) -> None:
    stored = pixels_of(one).astype(np.int16) - 1024
    set_pixels(one, stored & 0xFFF, bits=12)
    one.PixelRepresentation = 1
    one.RescaleIntercept = "0"


def with_overlay_bits(k: int, one: Dataset) -> None:
    stored = pixels_of(one) | np.uint16(0x8000)
    set_pixels(one, stored, bits=12)
    one.add_new(0x60000010, "US", 20)
    one.add_new(0x60000102, "US", 15)


def intercept_of_its_own(k: int, one: Dataset) -> None:
    set_pixels(one, pixels_of(one) + np.uint16(k), bits=12)
    one.RescaleIntercept = str(-1024 - k)


def stored_type_of_its_own(k: int, one: Dataset) -> None:
    if k % 2:
        signed(k, one)


def turned_round(k: int, one: Dataset) -> None:
    set_pixels(one, 4095 - pixels_of(one), bits=12)
    one.PhotometricInterpretation = "MONOCHROME1"


def shown_inverted(k: int, one: Dataset) -> None:
    one.PhotometricInterpretation = "MONOCHROME1"


def in_syntax(syntax: UID) -> Callable[[int, Dataset], None]:
    def change(k: int, one: Dataset) -> None:
        one.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            one.PixelData = pixels_of(one).astype(">u2").tobytes()

    return change


def jittered(k: int, one: Dataset) -> None:
    """Positions as a scanner writes them, with two decimals."""
    one.ImagePositionPatient = [
        f"{float(x) + 0.004 * (-1) ** k:.2f}" for x in one.ImagePositionPatient
    ]


OBLIQUE = rotated(20, -35, 50)


READ: dict[str, tuple[Series, NDArray[Any], NDArray[np.float64]]] = {
    "plain": (PLAIN, CT, AFFINE),
    "from the feet down": (PLAIN[::-1], CT, AFFINE),
    "numbers that say another order": (changed(PLAIN, numbered), CT, AFFINE),
    "oblique": (series(CT, OBLIQUE), CT, OBLIQUE),
    "sagittal": (series(CT, rotated(90, 0, 90)), CT, rotated(90, 0, 90)),
    "coronal": (series(CT, rotated(90, 0, 0)), CT, rotated(90, 0, 0)),
    "left-handed axes": (
        series(CT, AFFINE @ np.diag([1, 1, -1, 1])),
        CT,
        AFFINE @ np.diag([1, 1, -1, 1]),
    ),
    "thin and wide": (
        series(CT, rotated(0, 0, 3, sizes=(0.3, 1.9, 8))),
        CT,
        rotated(0, 0, 3, sizes=(0.3, 1.9, 8)),
    ),
    "tilted gantry": (series(CT, sheared(-0.6)), CT, sheared(-0.6)),
    "tilted the other way": (series(CT, sheared(1.1)), CT, sheared(1.1)),
    "slope": (series(CT * 2, slope=2, intercept=-2048), (CT * 2).astype(np.float32), AFFINE),
    "slope that is no whole number": (
        series(CT, slope=0.5, intercept=-1024.5),
        CT.astype(np.float32),
        AFFINE,
    ),
    "slope for each slice": (
        changed(PLAIN, scaled(lambda k: 1 + k / 8)),
        ((CT + 1024.0) * (1 + np.arange(12) / 8) - 1024).astype(np.float32),
        AFFINE,
    ),
    "intercept for each slice": (changed(PLAIN, intercept_of_its_own), CT, AFFINE),
    "signed": (changed(PLAIN, signed), CT, AFFINE),
    "signed, its sign not extended": (changed(PLAIN, signed_without_extension), CT, AFFINE),
    "signed and unsigned": (changed(PLAIN, stored_type_of_its_own), CT.astype(np.float32), AFFINE),
    "overlay in the high bits": (changed(PLAIN, with_overlay_bits), CT, AFFINE),
    "implicit VR": (changed(PLAIN, in_syntax(ImplicitVRLittleEndian)), CT, AFFINE),
    "big-endian": (changed(PLAIN, in_syntax(ExplicitVRBigEndian)), CT, AFFINE),
    "deflated": (changed(PLAIN, in_syntax(DeflatedExplicitVRLittleEndian)), CT, AFFINE),
    "JPEG-LS": (compressed(PLAIN, JPEGLSLossless), CT, AFFINE),
    "JPEG 2000": (compressed(series(WIDE), JPEG2000Lossless), WIDE, AFFINE),
    "RLE": (compressed(PLAIN, RLELossless), CT, AFFINE),
    "signed JPEG-LS": (compressed(changed(PLAIN, signed), JPEGLSLossless), CT, AFFINE),
    "signed JPEG 2000": (compressed(changed(series(WIDE), signed), JPEG2000Lossless), WIDE, AFFINE),
    "enhanced CT": (enhanced(CT), CT, AFFINE),
    "enhanced CT, frames in another order": (
        enhanced(CT, order=[*range(1, 12, 2), *range(0, 12, 2)]),
        CT,
        AFFINE,
    ),
    "enhanced CT, tilted": (enhanced(CT, sheared(0.9)), CT, sheared(0.9)),
    "enhanced MR, oblique": (
        enhanced(MR, OBLIQUE, modality="MR", intercept=0),
        MR.astype(np.uint16),
        OBLIQUE,
    ),
    "enhanced CT, all geometry for each frame": (enhanced(CT, per_frame=GEOMETRY), CT, AFFINE),
    "enhanced, RLE": (compressed(enhanced(CT), RLELossless), CT, AFFINE),
    "MR": (series(MR, modality="MR", intercept=0), MR.astype(np.uint16), AFFINE),
    "MR, MONOCHROME1": (
        changed(series(MR, modality="MR", intercept=0), turned_round),
        MR.astype(np.uint16),
        AFFINE,
    ),
    "CT, MONOCHROME1, its numbers inverted": (changed(PLAIN, turned_round), CT, AFFINE),
    "CT, MONOCHROME1, its numbers HU": (changed(PLAIN, shown_inverted), CT, AFFINE),
}


@pytest.mark.fault("S10")
@pytest.mark.parametrize("kind", READ)
def test_read_right(kind: str, tmp_path: Path) -> None:
    made, voxels, affine = READ[kind]

    found = read(made, tmp_path)

    assert_equal(found, voxels, affine)
    assert found.voxels.dtype == voxels.dtype
    assert found.voxels.flags.f_contiguous
    modality = Modality.MR if "MR" in kind else Modality.CT
    assert (found.modality, found.modality_source) == (modality, ModalitySource.TAG)


def test_positions_may_be_rounded(tmp_path: Path) -> None:
    found = read(changed(PLAIN, jittered), tmp_path)

    np.testing.assert_array_equal(found.voxels, CT)
    np.testing.assert_allclose(found.geometry.affine, AFFINE, rtol=0, atol=0.011)


def test_values_that_16_bits_can_not_hold(tmp_path: Path) -> None:
    def wide(k: int, one: Dataset) -> None:
        set_pixels(one, pixels_of(one) + np.uint16(60000))
        one.RescaleIntercept = "-61024"

    def far(k: int, one: Dataset) -> None:
        wide(k, one)
        one.RescaleIntercept = "40000"

    assert_equal(read(changed(PLAIN, wide), tmp_path / "wide"), CT, AFFINE)
    found = read(changed(PLAIN, far), tmp_path / "far")
    assert_equal(found, CT.astype(np.int32) + 101024, AFFINE)
    assert found.voxels.dtype == np.int32


def test_8_bits(tmp_path: Path) -> None:
    def small(k: int, one: Dataset) -> None:
        set_pixels(one, (pixels_of(one) >> 2).astype(np.uint8))
        one.RescaleIntercept = "-5"

    made = changed(series(MR, modality="MR", intercept=0), small)
    found = read(made, tmp_path)
    assert_equal(found, (MR >> 2) - np.int16(5), AFFINE)
    assert found.voxels.dtype == np.int16


def test_files_without_a_preamble(tmp_path: Path) -> None:
    for k, one in enumerate(PLAIN):
        (tmp_path / f"{k}").write_bytes(as_bytes(one, plain=True))

    assert_equal(read_series(tmp_path, ReadLimits()), CT, AFFINE)


def test_one_slice_is_as_thick_as_it_says(tmp_path: Path) -> None:
    found = read(PLAIN[4:5], tmp_path)

    assert found.geometry.shape == (24, 20, 1)
    assert found.geometry.spacing == pytest.approx((0.8, 0.7, 2.5))


def test_other_modalities_are_read_without_a_rule(tmp_path: Path) -> None:
    def pet(k: int, one: Dataset) -> None:
        one.Modality = "PT"

    found = read(changed(PLAIN, pet), tmp_path)

    assert (found.modality, found.modality_source) == (Modality.UNKNOWN, ModalitySource.TAG)


def codes(found: Volume) -> list[str]:
    return [note.code for note in found.notes]


def test_what_is_no_image_of_the_scan_is_left_out_and_told(tmp_path: Path) -> None:
    def localizer(k: int, one: Dataset) -> None:
        one.SOPInstanceUID = f"1.9.{k}"
        one.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        one.ImageOrientationPatient = ["0", "1", "0", "0", "0", "-1"]

    def report(k: int, one: Dataset) -> None:
        one.SOPInstanceUID = "1.8.1"
        one.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
        one.Modality = "SR"
        del one.PixelData

    made = [*PLAIN, PLAIN[3], *changed(PLAIN[:2], localizer), *changed(PLAIN[:1], report)]
    write(made, tmp_path / "scan" / "a folder in it")
    (tmp_path / "scan" / "readme.txt").write_text("hello")
    (tmp_path / "scan" / "link").symlink_to("/etc/passwd")

    found = read_series(tmp_path / "scan", ReadLimits())

    assert_equal(found, CT, AFFINE)
    assert codes(found) == [
        "files_left_out",
        "objects_left_out",
        "localizers_left_out",
        "duplicates_left_out",
    ]


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (PLAIN, []),
        (series(CT, sheared(-0.6)), ["gantry_tilt"]),
        (changed(PLAIN, turned_round), ["monochrome1_inverted"]),
        (changed(PLAIN, shown_inverted), ["monochrome1_kept"]),
        (
            changed(PLAIN, lambda k, one: setattr(one, "LossyImageCompression", "01")),
            ["lossy_compression"],
        ),
        (changed(PLAIN, lambda k, one: setattr(one, "StudyInstanceUID", "")), ["uids_missing"]),
    ],
)
def test_what_was_handled_is_told(made: Series, code: list[str], tmp_path: Path) -> None:
    assert codes(read(made, tmp_path)) == code


def test_the_source_is_in_the_array_s_order(tmp_path: Path) -> None:
    source = read(changed(PLAIN[::-1], numbered), tmp_path).source

    assert source is not None
    assert (source.study, source.series, source.frame_of_reference) == (STUDY, SERIES, REFERENCE)
    assert [one.sop_instance_uid for one in source.slices] == [
        f"{SERIES}.{k + 1}" for k in range(12)
    ]
    headers = source.datasets()
    assert [one.SOPInstanceUID for one in headers] == [
        one.sop_instance_uid for one in source.slices
    ]
    assert headers[0].PatientName == "Doe^Jane"
    assert "PixelData" not in headers[0]


def test_the_source_of_an_enhanced_image_names_frames(tmp_path: Path) -> None:
    order = [*range(1, 12, 2), *range(0, 12, 2)]

    source = read(enhanced(CT, order=order), tmp_path).source

    assert source is not None
    assert [one.frame for one in source.slices] == [order.index(k) + 1 for k in range(12)]
    (header,) = source.datasets()
    assert len(header.PerFrameFunctionalGroupsSequence) == 12
