import json
from collections import Counter
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from sammoe.errors import DataSetInvalid
from sammoe.training.datasets import (
    Case,
    check_patients,
    load_dataset,
    load_datasets,
    split_patients,
)
from sammoe.training.datasets.split import assign
from sammoe.volume.volume import Modality
from tests.datasets import AFFINE, CLASSES, SHAPE, scan, write_nnunet, write_sam_med3d, write_scan

NAMES = ("anna", "bert", "cleo")


def about(root: Path, **changes: Any) -> None:
    """Change a data set's ``dataset.json``."""
    path = root / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def label_file(case: Case) -> Path:
    (path,) = {source.path for source in case.labels.values()}
    return path


@pytest.fixture
def nnunet(tmp_path: Path) -> Path:
    return write_nnunet(tmp_path / "clinic", NAMES)


class TestNnunet:
    def test_cases_have_their_files_and_classes(self, nnunet: Path) -> None:
        dataset = load_dataset(nnunet)
        assert (dataset.name, dataset.root) == ("clinic", nnunet)
        assert dataset.classes == ("ball", "cube")
        assert [case.name for case in dataset.cases] == list(NAMES)
        case = dataset.cases[1]
        assert (case.dataset, case.patient) == ("clinic", "bert")
        assert case.image == nnunet / "imagesTr" / "bert_0000.nii.gz"
        assert case.modality is Modality.MR
        image = case.read_image()
        voxels, labels = scan("bert")
        assert image.modality is Modality.MR
        assert np.array_equal(image.voxels, voxels)
        masks = case.read_masks(image)
        assert masks.keys() == set(CLASSES)
        for name, value in CLASSES.items():
            assert np.array_equal(masks[name], labels == value)

    def test_images_may_lack_the_channel_and_other_channels_are_left_out(
        self, nnunet: Path
    ) -> None:
        (nnunet / "imagesTr" / "anna_0000.nii.gz").rename(nnunet / "imagesTr" / "anna.nii.gz")
        write_scan(nnunet / "imagesTr" / "bert_0001.nii.gz", scan("bert")[0])
        assert [case.name for case in load_dataset(nnunet).cases] == list(NAMES)

    def test_names_that_end_like_channels_are_cases_where_no_first_channel_is(
        self, nnunet: Path
    ) -> None:
        for year in ("2019", "2020"):
            write_scan(nnunet / "imagesTr" / f"scan_{year}.nii.gz", scan(year)[0])
            write_scan(nnunet / "labelsTr" / f"scan_{year}.nii.gz", scan(year)[1])
        names = [case.name for case in load_dataset(nnunet).cases]
        assert names == [*NAMES, "scan_2019", "scan_2020"]

    def test_files_that_are_no_scans_are_passed_over(self, nnunet: Path) -> None:
        (nnunet / "imagesTr" / "notes.txt").write_text("as seen")
        assert len(load_dataset(nnunet).cases) == 3

    def test_labels_may_have_another_ending_than_their_image(self, nnunet: Path) -> None:
        (nnunet / "labelsTr" / "anna.nii.gz").unlink()
        write_scan(nnunet / "labelsTr" / "anna.nii", scan("anna")[1])
        assert label_file(load_dataset(nnunet).cases[0]).name == "anna.nii"

    def test_regions_may_overlap(self, nnunet: Path) -> None:
        about(nnunet, labels={"background": 0, "both": [1, 2], "cube": 2, "ignore": 9})
        dataset = load_dataset(nnunet)
        assert dataset.classes == ("both", "cube")
        masks = dataset.cases[0].read_masks(dataset.cases[0].read_image())
        assert np.array_equal(masks["both"], scan("anna")[1] > 0)
        assert np.array_equal(masks["cube"], scan("anna")[1] == 2)

    def test_the_first_version_of_the_format_is_read(self, nnunet: Path) -> None:
        (nnunet / "dataset.json").write_text(
            json.dumps(
                {
                    "modality": {"0": "CT"},
                    "labels": {"0": "background", "1": "ball", "2": "cube"},
                }
            )
        )
        dataset = load_dataset(nnunet)
        assert dataset.classes == ("ball", "cube")
        assert dataset.cases[0].modality is Modality.CT

    @pytest.mark.parametrize(
        ("said", "meant"),
        [("MRI", "MR"), ("FLAIR", "MR"), ("t1w", "MR"), ("ct", "CT"), ("noNorm", "unknown")],
    )
    def test_modalities_have_many_names(self, nnunet: Path, said: str, meant: str) -> None:
        about(nnunet, channel_names={"0": said})
        assert {case.modality.value for case in load_dataset(nnunet).cases} == {meant}

    def test_channels_that_are_no_table_say_nothing(self, nnunet: Path) -> None:
        about(nnunet, channel_names=["CT"])
        assert load_dataset(nnunet).cases[0].modality is Modality.UNKNOWN

    def test_an_unknown_modality_is_told_by_the_intensities(self, nnunet: Path) -> None:
        about(nnunet, channel_names={"0": "whatever"})
        assert load_dataset(nnunet).cases[0].read_image().modality is Modality.MR

    def test_patients_may_have_several_cases(self, tmp_path: Path) -> None:
        root = write_nnunet(tmp_path / "twice", NAMES, patients={"anna": "a", "bert": "a"})
        assert [case.patient for case in load_dataset(root).cases] == ["a", "a", "cleo"]

    @pytest.mark.parametrize(
        "labels",
        [
            None,
            {},
            ["ball"],
            {"ball": "one"},
            {"ball": 1.7},
            {"ball": True},
            {"ball": [1, None]},
            {"ball": [1, 2.5]},
            {"x": "1", "1": "x"},
        ],
    )
    def test_labels_must_name_values(self, nnunet: Path, labels: object) -> None:
        about(nnunet, labels=labels)
        with pytest.raises(DataSetInvalid, match=r"dataset.json: labels must name"):
            load_dataset(nnunet)

    def test_a_class_without_a_value_is_named(self, nnunet: Path) -> None:
        about(nnunet, labels={"background": 0, "ball": []})
        with pytest.raises(DataSetInvalid, match=r"dataset.json: the class 'ball' has no value"):
            load_dataset(nnunet)

    @pytest.mark.parametrize("name", ["ball/left", "../ball", "..", ".", "", "a\\b", "a\nb", "a\n"])
    def test_names_of_classes_are_fit_for_files(self, nnunet: Path, name: str) -> None:
        about(nnunet, labels={"background": 0, name: 1, "left half, .5": 2})
        with pytest.raises(DataSetInvalid, match=r"dataset.json: the class .* is no plain name"):
            load_dataset(nnunet)

    def test_a_missing_label_file_is_named(self, nnunet: Path) -> None:
        (nnunet / "labelsTr" / "cleo.nii.gz").unlink()
        with pytest.raises(DataSetInvalid, match=r"has no label file .*labelsTr/cleo.nii.gz"):
            load_dataset(nnunet)

    def test_a_missing_folder_is_named(self, nnunet: Path) -> None:
        (nnunet / "imagesTr").rename(nnunet / "images")
        with pytest.raises(DataSetInvalid, match="imagesTr is missing"):
            load_dataset(nnunet)

    @pytest.mark.parametrize(("text", "what"), [("{", "is no JSON"), ("[]", "hold an object")])
    def test_broken_descriptions_are_named(self, nnunet: Path, text: str, what: str) -> None:
        (nnunet / "dataset.json").write_text(text)
        with pytest.raises(DataSetInvalid, match=rf"dataset.json.*{what}"):
            load_dataset(nnunet)

    def test_without_cases_it_is_no_data_set(self, tmp_path: Path) -> None:
        root = write_nnunet(tmp_path / "empty", NAMES[:1])
        (root / "imagesTr" / "anna_0000.nii.gz").unlink()
        with pytest.raises(DataSetInvalid, match="empty holds no cases"):
            load_dataset(root)


class TestSamMed3d:
    def test_one_case_has_all_classes_of_its_image(self, tmp_path: Path) -> None:
        dataset = load_dataset(write_sam_med3d(tmp_path / "many", NAMES[:2]))
        assert dataset.classes == ("ball", "cube")
        assert [case.name for case in dataset.cases] == ["mr_clinic_anna", "mr_clinic_bert"]
        case = dataset.cases[0]
        assert (case.patient, case.modality) == ("anna", Modality.MR)
        masks = case.read_masks(case.read_image())
        for name, value in CLASSES.items():
            assert np.array_equal(masks[name], scan("anna")[1] == value)

    def test_a_class_may_be_labelled_and_absent(self, tmp_path: Path) -> None:
        root = write_sam_med3d(tmp_path / "many", NAMES[:1])
        write_scan(
            root / "cube" / "mr_clinic" / "labelsTr" / "anna.nii.gz", np.zeros(SHAPE, np.uint8)
        )
        (case,) = load_dataset(root).cases
        assert case.read_masks(case.read_image()).keys() == {"ball"}

    def test_unknown_sources_have_no_modality(self, tmp_path: Path) -> None:
        root = write_sam_med3d(tmp_path / "many", NAMES[:1], source="us_lab")
        assert load_dataset(root).cases[0].modality is Modality.UNKNOWN

    def test_a_missing_label_file_is_named(self, tmp_path: Path) -> None:
        root = write_sam_med3d(tmp_path / "many", NAMES[:1])
        (root / "ball" / "mr_clinic" / "labelsTr" / "anna.nii.gz").unlink()
        with pytest.raises(DataSetInvalid, match=r"no label file .*ball/mr_clinic/labelsTr/anna"):
            load_dataset(root)

    def test_folders_of_neither_layout_are_told_both(self, tmp_path: Path) -> None:
        with pytest.raises(DataSetInvalid, match=r"neither dataset.json .* nor CLASS/MODALITY"):
            load_dataset(tmp_path)
        with pytest.raises(DataSetInvalid, match="nowhere is no folder"):
            load_dataset(tmp_path / "nowhere")


class TestSeveral:
    def test_they_are_told_apart_by_their_folders_names(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        roots = [write_nnunet(tmp_path / name, NAMES[:1]) for name in ("a/clinic", "b/ward")]
        monkeypatch.chdir(roots[0])
        found = load_datasets([Path(), Path("../../b/ward")])
        assert [dataset.name for dataset in found] == ["clinic", "ward"]
        assert found[0].cases[0].dataset == "clinic"
        again = write_nnunet(tmp_path / "c" / "clinic", NAMES[:1])
        with pytest.raises(
            DataSetInvalid, match=r"called 'clinic', .*a/clinic and .*c/clinic: rename"
        ):
            load_datasets([*roots, again])

    def test_a_patient_has_one_part_in_all_of_them(self, tmp_path: Path) -> None:
        sets = load_datasets([write_nnunet(tmp_path / name, NAMES) for name in ("mr", "ct")])
        check_patients((d, split_patients(d)) for d in sets)
        parts = {"anna": "train", "bert": "train", "cleo": "test"}
        (tmp_path / "mr" / "split.json").write_text(json.dumps(parts))
        (tmp_path / "ct" / "split.json").write_text(json.dumps(parts | {"bert": "calibrate"}))
        with pytest.raises(DataSetInvalid, match=r"bert is in the part train .* one split"):
            check_patients((d, split_patients(d)) for d in sets)


class TestCases:
    @pytest.fixture
    def case(self, nnunet: Path) -> Case:
        return load_dataset(nnunet).cases[0]

    def refused(self, case: Case, why: str) -> None:
        with pytest.raises(DataSetInvalid, match=why) as caught:
            case.read_masks(case.read_image())
        assert str(label_file(case)) in caught.value.detail

    def test_labels_of_another_shape(self, case: Case) -> None:
        write_scan(label_file(case), scan("anna")[1][1:])
        self.refused(case, r"has \(21, 20, 18\) voxels, its image \(22, 20, 18\)")

    def test_labels_of_another_place(self, case: Case) -> None:
        affine = AFFINE.copy()
        affine[2, 3] = 4
        write_scan(label_file(case), scan("anna")[1], affine)
        self.refused(case, r"lies elsewhere than its image, by up to 4.0 mm")

    def test_labels_that_are_no_whole_numbers(self, case: Case) -> None:
        write_scan(label_file(case), scan("anna")[1] * np.float32(0.3))
        self.refused(case, "no whole numbers")

    @pytest.mark.parametrize("other", [0, 7])
    def test_labels_of_nothing(self, case: Case, other: int) -> None:
        labels = np.zeros(SHAPE, np.uint8)
        labels[:3] = other
        write_scan(label_file(case), labels)
        self.refused(case, "nothing of ball, cube is labelled here; take the case out")

    def test_only_the_classes_that_are_wanted_are_read(self, tmp_path: Path) -> None:
        case = load_dataset(write_sam_med3d(tmp_path / "many", NAMES[:1])).cases[0]
        image, cube = case.read_image(), case.labels["cube"].path
        assert case.read_masks(image, ["cube"]).keys() == {"cube"}
        cube.write_bytes(b"nonsense")
        assert case.read_masks(image, ["ball", "disc"]).keys() == {"ball"}
        write_scan(cube, np.zeros(SHAPE, np.uint8))
        assert case.read_masks(image, ["cube"]) == {}
        write_scan(case.labels["ball"].path, np.zeros(SHAPE, np.uint8))
        with pytest.raises(DataSetInvalid, match="nothing of ball, cube is labelled"):
            case.read_masks(image, ["cube"])

    def test_files_that_are_missing_or_broken(self, case: Case) -> None:
        label_file(case).write_bytes(b"nonsense")
        self.refused(case, "neither NIfTI nor NRRD")
        label_file(case).unlink()
        self.refused(case, "can not be read: No such file")
        case.image.write_bytes(b"nonsense")
        with pytest.raises(DataSetInvalid, match="anna_0000"):
            case.read_image()

    def test_classes_must_be_known(self, nnunet: Path) -> None:
        dataset = load_dataset(nnunet)
        dataset.require(("cube", "ball"))
        with pytest.raises(DataSetInvalid, match="has no class 'liver'; it has: ball, cube"):
            dataset.require(("ball", "liver"))

    def test_compressed_and_plain_files_are_alike(self, case: Case) -> None:
        plain = case.image.with_name("plain.nii")
        nib.save(nib.load(case.image), plain)
        again = Case(**{**vars(case), "image": plain})
        assert again.read_image().content_digest() == case.read_image().content_digest()


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

    def test_a_folder_that_can_not_be_written_is_split_all_the_same(
        self, nnunet: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / "nowhere" / "split.json"
        assert split_patients(load_dataset(nnunet), file) == split_patients(load_dataset(nnunet))

    @pytest.mark.parametrize("text", ["{", "[]", '{"anna": "exam"}', '{"anna": ["test"]}'])
    def test_broken_files_are_named(self, nnunet: Path, text: str) -> None:
        (nnunet / "split.json").write_text(text)
        with pytest.raises(DataSetInvalid, match=r"split.json"):
            split_patients(load_dataset(nnunet))

    def test_a_split_that_is_a_folder_is_named(self, nnunet: Path, tmp_path: Path) -> None:
        (tmp_path / "split.json").mkdir()
        split = split_patients(load_dataset(nnunet), tmp_path / "split.json")
        assert split.train
