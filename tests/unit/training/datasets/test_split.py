import errno
import json
from collections import Counter
from pathlib import Path

import pytest

from sammoe.errors import DataSetInvalid
from sammoe.training.datasets import (
    check_patients,
    load_dataset,
    load_datasets,
    split_patients,
)
from sammoe.training.datasets.split import assign
from tests.datasets import write_nnunet
from tests.unit.training.datasets.conftest import NAMES


class TestSeveral:
    def test_a_patient_has_one_part_in_all_of_them(self, tmp_path: Path) -> None:
        sets = load_datasets([write_nnunet(tmp_path / name, NAMES) for name in ("mr", "ct")])
        check_patients((d, split_patients(d)) for d in sets)
        parts = {"anna": "train", "bert": "train", "cleo": "test"}
        (tmp_path / "mr" / "split.json").write_text(json.dumps(parts))
        (tmp_path / "ct" / "split.json").write_text(json.dumps(parts | {"bert": "calibrate"}))
        with pytest.raises(DataSetInvalid, match=r"bert is in the part train .* one split"):
            check_patients((d, split_patients(d)) for d in sets)


class TestSplit:
    def test_parts_are_by_patient_and_of_fixed_shares(self) -> None:
        patients = [f"p{i:03}" for i in range(200)]
        parts = assign(patients)
        assert Counter(parts.values()) == {"test": 40, "calibrate": 25, "train": 135}
        assert assign(reversed(patients)) == parts
        assert assign([*patients, *patients]) == parts

    @pytest.mark.parametrize(
        ("count", "expected"),
        [
            (1, {"train": 1}),
            (2, {"train": 2}),
            (3, {"test": 1, "calibrate": 1, "train": 1}),
            (5, {"test": 1, "calibrate": 1, "train": 3}),
        ],
    )
    def test_few_patients_are_for_training_first(
        self, count: int, expected: dict[str, int]
    ) -> None:
        assert Counter(assign(map(str, range(count))).values()) == expected

    def test_it_is_decided_once_and_new_patients_are_trained_on(self, tmp_path: Path) -> None:
        names = [f"p{i}" for i in range(8)]
        root = write_nnunet(tmp_path / "clinic", names)
        first = split_patients(load_dataset(root))
        sizes = len(first.train), len(first.calibrate), len(first.test)
        assert sizes == (5, 1, 2)
        assert json.loads((root / "split.json").read_text()) == assign(names)
        write_nnunet(root, [*names, "q1", "q2", "q3"])
        second = split_patients(load_dataset(root))
        assert second.test == first.test
        assert second.cases("calibrate") == first.cases("calibrate")
        assert {case.name for case in second.train} - {case.name for case in first.train} == {
            "q1",
            "q2",
            "q3",
        }

    def test_cases_of_one_patient_stay_together(self, tmp_path: Path) -> None:
        names = [f"p{i}" for i in range(12)]
        patients = {name: f"patient {i // 2}" for i, name in enumerate(names)}
        split = split_patients(load_dataset(write_nnunet(tmp_path / "c", names, patients=patients)))
        parts = [{case.patient for case in cases} for cases in vars(split).values()]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 6

    def test_patients_who_get_names_later_are_not_trained_on(self, tmp_path: Path) -> None:
        names = [f"p{i}" for i in range(8)]
        root = write_nnunet(tmp_path / "clinic", names)
        tests = sorted({case.name for case in split_patients(load_dataset(root)).test})
        (root / "patients.json").write_text(json.dumps(dict.fromkeys(tests, "anna")))
        with pytest.raises(DataSetInvalid, match=rf"split.json holds out {tests[0]}, .* anna: if"):
            split_patients(load_dataset(root))

    def test_a_split_may_know_patients_of_other_folders(self, tmp_path: Path) -> None:
        root = write_nnunet(tmp_path / "clinic", NAMES)
        parts = dict.fromkeys(NAMES, "train") | {"dora": "test", "emil": "calibrate"}
        (root / "split.json").write_text(json.dumps(parts))
        assert len(split_patients(load_dataset(root)).train) == len(NAMES)

    def test_another_file_can_be_named(self, nnunet: Path, tmp_path: Path) -> None:
        file = tmp_path / "mine.json"
        file.write_text(json.dumps({"anna": "test", "bert": "test", "cleo": "calibrate"}))
        split = split_patients(load_dataset(nnunet), file)
        assert [case.name for case in split.test] == ["anna", "bert"]
        assert not (nnunet / "split.json").exists()

    def test_a_folder_that_can_not_be_written_is_split_all_the_same_and_told_of(
        self, nnunet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "nowhere" / "split.json"
        dataset = load_dataset(nnunet)
        assert split_patients(dataset, file) == split_patients(dataset, file)
        (told,) = capsys.readouterr().err.splitlines()
        assert told.startswith(f"{file} can not be written (No such file or directory), so the")
        assert split_patients(dataset, file) == split_patients(dataset)
        assert capsys.readouterr().err == ""

    def test_a_full_disk_leaves_no_half_split(
        self, nnunet: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def full(path: Path, target: Path) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        before = sorted(nnunet.iterdir())
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", full)
            split_patients(load_dataset(nnunet))
        assert "split.json can not be written (No space left" in capsys.readouterr().err
        assert sorted(nnunet.iterdir()) == before

    def test_one_process_of_several_tells(
        self, nnunet: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("RANK", "1")
        split_patients(load_dataset(nnunet), nnunet / "nowhere" / "split.json")
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize("text", ["{", "[]", '{"anna": "exam"}', '{"anna": ["test"]}'])
    def test_broken_files_are_named(self, nnunet: Path, text: str) -> None:
        (nnunet / "split.json").write_text(text)
        with pytest.raises(DataSetInvalid, match=r"split.json"):
            split_patients(load_dataset(nnunet))

    def test_a_patient_who_is_named_twice_is_refused(self, nnunet: Path) -> None:
        (nnunet / "split.json").write_text('{"anna": "test", "bert": "test", "anna": "train"}')
        with pytest.raises(DataSetInvalid, match=r"split.json says 'anna' twice"):
            split_patients(load_dataset(nnunet))

    def test_a_split_that_is_a_folder_is_named(self, nnunet: Path, tmp_path: Path) -> None:
        (tmp_path / "split.json").mkdir()
        split = split_patients(load_dataset(nnunet), tmp_path / "split.json")
        assert split.train
