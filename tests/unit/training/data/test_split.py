"""The split: a fifth of the patients, fixed, and closed to training."""

import hashlib
from pathlib import Path

import pytest

from sammoe.training.data.split import (
    COHORTS,
    held_out,
    images,
    label_of,
    patient_of,
)
from sammoe.training.datasets.split import assign

_TEST_SCANS = ("totalseg_ct", "totalseg_mr", "totalseg_dicom", "ivadomed")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_fifth_is_held_out() -> None:
    assert len(held_out("hippocampus")) == 43
    assert len(held_out("sarcoma")) == 8


@pytest.mark.parametrize("folder", [*_TEST_SCANS, "synthseg", "nonsense"])
def test_other_folders_are_not_for_training(tmp_path: Path, folder: str) -> None:
    with pytest.raises(ValueError, match="not a training set"):
        images(tmp_path, folder, part="train")


def test_a_part_is_train_or_test(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'train' or 'test'"):
        images(tmp_path, "sts_ct", part="all")


def test_held_out_patients_are_left_out_of_both_modalities(tmp_path: Path) -> None:
    test, train = sorted(held_out("sarcoma"))[0], "STS_XXX"
    for folder in ("sts_ct", "sts_mr_t1"):
        (tmp_path / folder / "images").mkdir(parents=True)
        for name in (test, train):
            (tmp_path / folder / "images" / f"{name}.nii.gz").touch()
        assert [patient_of(p) for p in images(tmp_path, folder, part="train")] == [train]
        (path,) = images(tmp_path, folder, part="test")
        assert label_of(path) == tmp_path / folder / "labels" / f"{test}.nii.gz"


@pytest.mark.data
def test_the_committed_file_is_what_the_rule_gives(real_data: Path) -> None:
    for group in set(COHORTS.values()):
        folders = [f for f, g in COHORTS.items() if g == group]
        everyone = {patient_of(p) for f in folders for p in (real_data / f / "images").iterdir()}
        assert held_out(group) == {p for p, part in assign(everyone).items() if part == "test"}


@pytest.mark.data
def test_no_training_image_is_a_test_scan_or_of_a_test_patient(real_data: Path) -> None:
    train = {_digest(p) for f in COHORTS for p in images(real_data, f, part="train")}
    test = {_digest(p) for f in COHORTS for p in images(real_data, f, part="test")}
    scans = {_digest(p) for f in _TEST_SCANS for p in (real_data / f).rglob("*") if p.is_file()}
    assert len(train) > 200
    assert len(scans) >= 10
    assert not train & (test | scans)
