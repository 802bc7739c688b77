import gzip
from pathlib import Path
from typing import Any, Literal

import nibabel
import numpy as np
import pytest

from sammoe.errors import FileTruncated, NoForeground, TooLarge, UnsupportedFormat
from sammoe.volume.limits import ReadLimits
from sammoe.volume.reading import read_volume
from tests.unit.volume.files import AFFINE, VOXELS, nifti, nrrd

FILES = {
    "NIfTI-1": nifti(),
    "NIfTI-2": nifti(version=2),
    "big-endian": nifti(order=">"),
    "gzip": gzip.compress(nifti()),
    "NRRD": nrrd(),
    "NRRD gzip": nrrd(changes={"encoding": "gzip"}),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
def test_the_format_is_told_by_the_content(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "scan.of.no.known.name"
    path.write_bytes(data)
    for source in (path, data):
        volume = read_volume(source)
        assert np.array_equal(volume.voxels, VOXELS)
        assert volume.geometry.affine == pytest.approx(AFFINE)


def test_one_scan_has_one_digest_whatever_its_format() -> None:
    assert len({read_volume(data).content_digest() for data in FILES.values()}) == 1


@pytest.mark.parametrize("asked", ["CT", "MR"])
def test_the_user_s_word_goes_before_the_rule(asked: Literal["CT", "MR"]) -> None:
    volume = read_volume(nifti(), modality=asked)
    assert (volume.modality, volume.modality_source) == (asked, "user")


def test_the_rule_s_source_is_named() -> None:
    magnitudes = read_volume(nifti(abs(VOXELS) + np.int16(1)))
    assert (magnitudes.modality, magnitudes.modality_source) == ("MR", "rule")
    unclear = read_volume(nifti(VOXELS - np.int16(300)))
    assert (unclear.modality, unclear.modality_source) == ("unknown", "unknown")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "neither"),
        (b"PK\x03\x04" + bytes(600), "neither"),
        (b"\x7fELF" + bytes(600), "neither"),
        (gzip.compress(b"just text", mtime=0), "neither"),
        (gzip.compress(nrrd(), mtime=0), "neither"),
        (bytes(128) + b"DICM" + bytes(600), "DICOM"),
        (nifti(magic=b"\0\0\0\0"), "neither"),
    ],
)
def test_other_files_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(UnsupportedFormat, match=message):
        read_volume(data)


def test_gzip_of_nothing_is_refused() -> None:
    with pytest.raises(FileTruncated, match="middle"):
        read_volume(b"\x1f\x8b")


def test_a_name_that_promises_too_much_is_pointed_out() -> None:
    with pytest.raises(UnsupportedFormat, match="named like NIfTI") as caught:
        read_volume(b"text", filename="Doe_John.NII.GZ")
    assert "Doe" not in caught.value.detail
    with pytest.raises(UnsupportedFormat, match="The content is neither"):
        read_volume(b"text", filename="scan.txt")


@pytest.mark.fault("S14")
@pytest.mark.parametrize("value", [0, 7])
def test_empty_scans_are_refused(value: int) -> None:
    with pytest.raises(NoForeground, match="equal"):
        read_volume(nifti(np.full((3, 4, 5), value, dtype=np.int16)))


@pytest.mark.fault("S14")
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_scans_with_voxels_that_are_no_number_are_refused(value: float) -> None:
    voxels = VOXELS.astype(np.float32)
    voxels[1, 2, 3] = value
    with pytest.raises(NoForeground, match="NaN, Inf"):
        read_volume(nifti(voxels))


def test_limits_hold_for_both_formats() -> None:
    for data in FILES.values():
        with pytest.raises(TooLarge):
            read_volume(data, limits=ReadLimits(max_voxels=100))


def expected_modality(path: Path) -> str:
    return "CT" if "ct" in path.parts[-3] or "_ct" in path.name else "MR"


@pytest.mark.data
def test_real_scans_are_read_as_nibabel_reads_them(real_data: Path) -> None:
    folders = ["sts_ct/images", "sts_mr_t1/images", "hippocampus/images"]
    paths = [path for name in folders for path in sorted((real_data / name).glob("*.nii*"))[:5]]
    singles = ["totalseg_ct/example_ct.nii.gz", "totalseg_mr/example_mr_sm.nii.gz"]
    paths += [real_data / name for name in singles]
    paths += sorted((real_data / "ivadomed").glob("*_ct.nii.gz"))
    paths += sorted((real_data / "ivadomed").glob("*_T?w.nii.gz"))
    assert len(paths) >= 20
    for path in paths:
        volume = read_volume(path)
        image: Any = nibabel.load(path)
        assert np.array_equal(volume.voxels, np.asanyarray(image.dataobj)), path.name
        assert volume.geometry.affine == pytest.approx(image.affine, abs=1e-5), path.name
        assert volume.modality == expected_modality(path), path.name


HALF_TURN = (0.0, 0.0, 1.0)
"""Quaternion about the head-foot axis: x and y change their signs, as from RAS to LPS."""


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (nifti(), []),
        (nifti(qform_code=1, srow=np.eye(4)[:3].ravel()), []),
        (nifti(sform_code=0, qform_code=1), []),
        (nifti(sform_code=0), ["orientation_assumed"]),
        (nifti(srow=[0] * 12), ["orientation_assumed"]),
        (nifti(qform_code=1, quatern=HALF_TURN), ["orientation_contradictory"]),
        (nifti(qform_code=1), ["orientation_contradictory"]),  # a mirror image: LAS and RAS
        (nifti(qform_code=1, quatern=(3, 4, 5)), []),  # no rotation, and not used
        (nrrd(), []),
        (
            nrrd(changes={"space": None, "space directions": None, "space origin": None}),
            ["orientation_assumed"],
        ),
    ],
)
def test_what_a_file_leaves_open_about_left_and_right_is_said(
    data: bytes, codes: list[str]
) -> None:
    assert [note.code for note in read_volume(data, modality="MR").notes] == codes


def test_a_scan_that_was_registered_by_a_small_turn_contradicts_nothing() -> None:
    angle = np.radians(25)
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    data = nifti(qform_code=1, srow=turned[:3].ravel())
    assert read_volume(data, modality="MR").notes == ()
