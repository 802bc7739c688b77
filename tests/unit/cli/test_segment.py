from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.cli import main
from sammoe.volume.reading import read_volume
from tests import scans

POINT = ",".join(map(str, scans.INSIDE))


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(scans.gzipped())
    return path


def segment(scan: Path, bundle: Path, out: Path, *words: str) -> int:
    common = ["--bundle", str(bundle), "--out", str(out), "--threads", "1"]
    return main(["segment", str(scan), *common, *words])


def read(path: Path) -> NDArray[np.uint8]:
    image = nib.Nifti1Image.from_filename(path)
    assert np.allclose(image.affine, scans.AFFINE)
    return np.asarray(image.dataobj, dtype=np.uint8)


def test_a_point_becomes_a_mask_with_a_report(
    scan: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mask.nii.gz"
    assert segment(scan, bundle, out, "--point", POINT, "--expert", "general") == 0
    mask = read(out)
    assert mask[scans.INSIDE] == 1
    captured = capsys.readouterr()
    millilitres = mask.sum() * np.prod(scans.SPACING) / 1000
    first, second = captured.out.splitlines()
    assert first == f"{out}: {mask.sum()} voxels, {millilitres:.2f} ml, by general"
    for phase in ("load", "scan", "crop", "encode", "decode", "paste", "write"):
        assert f"{phase} " in second
    assert captured.err == ""


def test_the_gate_is_told_of(
    scan: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mask.nii.gz"
    assert segment(scan, bundle, out, "--point", POINT, "--tau", "0") == 0
    assert "by spleen and general, fused" in capsys.readouterr().out


def test_doubts_are_printed(
    scan: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mask.nii.gz"
    words = ["--point", POINT, "--negative", POINT.replace("30", "30.4")]
    assert segment(scan, bundle, out, *words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines[1:-1]] == ["prompt_not_met"]
    assert "1 of 2 points" in lines[1]


def test_millimetres_and_nrrd(scan: Path, bundle: Path, tmp_path: Path) -> None:
    voxel, ras = tmp_path / "voxel.nii.gz", tmp_path / "ras.nrrd"
    x, y, z, _ = scans.AFFINE @ (*scans.INSIDE, 1)
    assert x == 0
    assert segment(scan, bundle, voxel, "--point", POINT) == 0
    words = ["--point", f"-0,{y:g},{z:g}", "--space", "ras"]
    assert segment(scan, bundle, ras, *words) == 0
    assert (read_volume(ras, modality="MR").voxels == read(voxel)).all()


def test_negative_points_and_a_box(scan: Path, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "mask.nii.gz"
    words = ["--box", "20,20,12,40,42,28", "--negative", "24,24,16", "--negative", "36,36,24"]
    assert segment(scan, bundle, out, *words) == 0
    mask = read(out)
    assert mask[30, 30, 20] == 1
    assert mask[24, 24, 16] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--point", POINT, "--point", "60,1,1"], "--point 60,1,1: This place is outside"),
        (["--point", POINT, "--negative", "-1,1,1"], "--negative -1,1,1: This place is outside"),
        (["--box", "1,1,1,9,9,90"], "--box: This place is outside"),
        (["--negative", POINT], "Negative points take away"),
        ([], "Give at least one point"),
        (["--point", POINT, "--expert", "liver"], "--expert: The bundle has no such expert"),
        (["--point", POINT, "--tau", "7"], "--tau: tau must be"),
    ],
)
def test_a_prompt_that_can_not_be_used_names_its_flag(
    scan: Path,
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    says: str,
) -> None:
    out = tmp_path / "mask.nii.gz"
    assert segment(scan, bundle, out, *words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"sammoe segment: {says}")
    assert captured.err.count("\n") == 1
    assert not out.exists()


def test_what_is_no_scan_is_refused(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = tmp_path / "scan.nii"
    scan.write_bytes(b"no scan" * 100)
    out = tmp_path / "mask.nii.gz"
    assert segment(scan, bundle, out, "--point", "1,1,1") == 2
    assert segment(tmp_path / "nope.nii", bundle, out, "--point", "1,1,1") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "nope.nii" in lines[1]


def test_a_place_that_can_not_be_written_is_one_line(
    scan: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "nowhere" / "mask.nii.gz"
    assert segment(scan, bundle, out, "--point", POINT) == 2
    assert capsys.readouterr().err == f"sammoe segment: {out}: No such file or directory\n"
