from dataclasses import replace
from pathlib import Path

import pytest

from sammoe.bundle import Expert
from sammoe.errors import DataSetInvalid
from sammoe.training.datasets import load_dataset, split_patients
from sammoe.training.tasks import known_modalities, require, task_cases
from sammoe.volume.volume import Modality
from tests.datasets import write_nnunet, write_sam_med3d

NAMES = [f"p{i}" for i in range(10)]


def expert(*classes: str, modalities: tuple[str, ...] = ("MR",)) -> Expert:
    return Expert.model_validate(
        {
            "name": "task",
            "label": "task",
            "modalities": modalities,
            "training_data": "none",
            "licence": "none",
            "classes": classes,
        }
    )


def test_each_class_must_be_somewhere_and_each_data_set_of_use(tmp_path: Path) -> None:
    one = load_dataset(write_nnunet(tmp_path / "one", ["a"], classes={"ball": 1}))
    two = load_dataset(write_nnunet(tmp_path / "two", ["a"], classes={"cube": 2}))
    require([one, two], ["ball", "cube"])
    with pytest.raises(DataSetInvalid, match=r"one has no class 'liver'; it has: ball"):
        require([one, two], ["ball", "liver"])
    with pytest.raises(DataSetInvalid, match=r"two has no class 'ball'; it has: cube"):
        require([one, two], ["ball"])


def test_modalities_are_what_the_data_sets_say(tmp_path: Path) -> None:
    roots = [write_nnunet(tmp_path / kind, ["a"], modality=kind) for kind in ("CT", "T1", "noise")]
    assert known_modalities([load_dataset(root) for root in roots]) == ["CT", "MR"]
    assert known_modalities([load_dataset(roots[2])]) == []


def test_test_patients_are_left_out(tmp_path: Path) -> None:
    dataset = load_dataset(write_nnunet(tmp_path / "clinic", NAMES))
    split = split_patients(dataset)
    cases = task_cases([dataset, dataset], expert("ball"))
    assert cases == {"train": [*split.train] * 2, "calibrate": [*split.calibrate] * 2}
    used = {case.patient for part in cases.values() for case in part}
    assert not used & {case.patient for case in split.test}
    assert len(used) == 8


def test_cases_that_can_not_show_the_task_are_left_out(tmp_path: Path) -> None:
    dataset = load_dataset(write_sam_med3d(tmp_path / "clinic", NAMES[:3]))
    (whole, *others) = split_patients(dataset).train
    bare = replace(whole, labels={"cube": whole.labels["cube"]})
    some = replace(dataset, cases=(bare, *others))
    cases = task_cases([some], expert("ball"))
    assert bare not in cases["train"] + cases["calibrate"]
    everything = task_cases([some], expert("ball", "cube"))
    assert bare in everything["train"] + everything["calibrate"]


def test_an_unknown_modality_is_the_experts_only_one(tmp_path: Path) -> None:
    dataset = load_dataset(write_nnunet(tmp_path / "clinic", NAMES[:2], modality="noise"))
    (case, *_) = task_cases([dataset], expert("ball", modalities=("CT",)))["train"]
    assert case.modality is Modality.CT
    (case, *_) = task_cases([dataset], expert("ball", modalities=("CT", "MR")))["train"]
    assert case.modality is Modality.UNKNOWN
