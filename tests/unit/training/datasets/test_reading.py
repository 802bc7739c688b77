import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sammoe.errors import DataSetInvalid
from sammoe.training.datasets import (
    load_dataset,
    load_datasets,
)
from sammoe.volume.volume import Modality
from tests.datasets import CLASSES, SHAPE, scan, write_nnunet, write_sam_med3d, write_scan
from tests.unit.training.datasets.conftest import NAMES, label_file


def about(root: Path, **changes: Any) -> None:
    """Change a data set's ``dataset.json``."""
    path = root / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


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

    @pytest.mark.parametrize("labelled", [True, False])
    def test_names_that_end_like_channels_are_cases_where_labels_are_called_so(
        self, nnunet: Path, labelled: bool
    ) -> None:
        numbered = [f"pat_{n:04d}" for n in range(3)]
        for name in numbered:
            write_scan(nnunet / "imagesTr" / f"{name}.nii.gz", scan(name)[0])
            write_scan(nnunet / "labelsTr" / f"{name}.nii.gz", scan(name)[1])
        write_scan(nnunet / "imagesTr" / "bert_0001.nii.gz", scan("bert")[0])
        dataset = load_dataset(nnunet, labelled=labelled)
        assert [case.name for case in dataset.cases] == [*NAMES, *numbered]
        assert dataset.cases[3].image == nnunet / "imagesTr" / "pat_0000.nii.gz"
        if labelled:
            assert label_file(dataset.cases[3]).name == "pat_0000.nii.gz"
            (nnunet / "labelsTr" / "pat_0001.nii.gz").unlink()
            with pytest.raises(DataSetInvalid, match=r"no label file .*labelsTr/pat_0001.nii.gz"):
                load_dataset(nnunet)

    def test_a_case_may_be_called_like_a_channel_of_another(self, tmp_path: Path) -> None:
        root = write_nnunet(tmp_path / "set", ["anna", "anna_0000", "anna_0001"])
        write_scan(root / "imagesTr" / "anna_0001.nii.gz", scan("anna")[0])
        assert {case.name: case.image.name for case in load_dataset(root).cases} == {
            "anna": "anna_0000.nii.gz",
            "anna_0000": "anna_0000_0000.nii.gz",
            "anna_0001": "anna_0001_0000.nii.gz",
        }

    @pytest.mark.parametrize(
        ("channels", "names"),
        [
            ({"0": "MR"}, ["anna", "bert_0000", "bert_0001", "cleo"]),
            ({"0": "T1", "1": "T2"}, list(NAMES)),
            ({}, list(NAMES)),
        ],
    )
    def test_the_number_of_channels_tells_where_no_labels_are(
        self, nnunet: Path, channels: object, names: list[str]
    ) -> None:
        write_scan(nnunet / "imagesTr" / "bert_0001.nii.gz", scan("bert")[0])
        shutil.rmtree(nnunet / "labelsTr")
        about(nnunet, channel_names=channels)
        assert [case.name for case in load_dataset(nnunet, labelled=False).cases] == names

    def test_cases_without_labels_are_none_s_channels_where_there_is_one(
        self, nnunet: Path
    ) -> None:
        for name in ("dora_0000", "dora_0001"):
            write_scan(nnunet / "imagesTr" / f"{name}.nii.gz", scan(name)[0])
        about(nnunet, channel_names={"0": "MR"})
        names = [case.name for case in load_dataset(nnunet, labelled=False).cases]
        assert names == [*NAMES, "dora_0000", "dora_0001"]

    def test_files_that_are_no_scans_are_passed_over(
        self, nnunet: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in ("notes.txt", "anna_0000.json", "SITES.CSV", ".DS_Store"):
            (nnunet / "imagesTr" / name).write_text("as seen")
        assert len(load_dataset(nnunet).cases) == 3
        assert capsys.readouterr().err == ""

    def test_scans_that_are_not_read_are_told_of(
        self, nnunet: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for n in range(5):
            (nnunet / "imagesTr" / f"dora{n}_0000.mha").touch()
        assert [case.name for case in load_dataset(nnunet).cases] == list(NAMES)
        (told,) = capsys.readouterr().err.splitlines()
        assert told == (
            f"{nnunet}/imagesTr: passed over 'dora0_0000.mha', 'dora1_0000.mha', 'dora2_0000.mha'"
            " and 2 more: scans are read from .nii.gz, .nii and .nrrd alone"
        )

    def test_folders_of_scans_that_are_not_read_are_refused(self, nnunet: Path) -> None:
        for path in (nnunet / "imagesTr").iterdir():
            path.rename(path.with_name(path.name.replace(".nii.gz", ".mha")))
        with pytest.raises(
            DataSetInvalid,
            match=r"imagesTr holds no scans, but 'anna_0000.mha', .*: scans are read from .nii.gz,",
        ):
            load_dataset(nnunet)

    def test_endings_may_be_in_capitals(
        self, nnunet: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for path in (*nnunet.glob("imagesTr/anna*"), *nnunet.glob("*/bert*")):
            path.rename(path.with_name(path.name.replace(".nii.gz", ".NII.GZ")))
        dataset = load_dataset(nnunet)
        assert [case.name for case in dataset.cases] == list(NAMES)
        assert [case.image.name for case in dataset.cases[:2]] == [
            "anna_0000.NII.GZ",
            "bert_0000.NII.GZ",
        ]
        assert [label_file(case).name for case in dataset.cases[:2]] == [
            "anna.nii.gz",
            "bert.NII.GZ",
        ]
        for case in dataset.cases:
            voxels, labels = scan(case.name)
            image = case.read_image()
            assert np.array_equal(image.voxels, voxels)
            assert np.array_equal(case.read_masks(image)["ball"], labels == 1)
        assert capsys.readouterr().err == ""

    def test_hidden_files_are_passed_over(self, nnunet: Path) -> None:
        for name in ("._anna_0000.nii.gz", ".dora_0000.nii.gz"):
            (nnunet / "imagesTr" / name).write_bytes(b"half")
        (nnunet / "labelsTr" / "._anna.nii.gz").write_bytes(b"half")
        assert [case.name for case in load_dataset(nnunet).cases] == list(NAMES)

    def test_labels_may_have_another_ending_than_their_image(self, nnunet: Path) -> None:
        (nnunet / "labelsTr" / "anna.nii.gz").unlink()
        write_scan(nnunet / "labelsTr" / "anna.nii", scan("anna")[1])
        assert label_file(load_dataset(nnunet).cases[0]).name == "anna.nii"

    def test_regions_may_overlap(self, nnunet: Path) -> None:
        about(nnunet, labels={"background": 0, "both": [1, 2], "cube": 2})
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

    def test_values_of_one_name_are_one_class(self, nnunet: Path) -> None:
        labels = {"0": "background", "1": "ball", "2": "ball", "3": "background", "4": "cube"}
        about(nnunet, labels=labels)
        dataset = load_dataset(nnunet)
        assert dataset.classes == ("ball", "cube")
        masks = dataset.cases[0].read_masks(dataset.cases[0].read_image())
        assert np.array_equal(masks["ball"], scan("anna")[1] > 0)

    @pytest.mark.parametrize(
        "labels",
        [
            {"background": 0, "ball": 1, "ignore": 2},
            {"0": "background", "1": "ball", "2": "ignore"},
        ],
    )
    def test_voxels_to_ignore_are_refused(self, nnunet: Path, labels: object) -> None:
        about(nnunet, labels=labels)
        with pytest.raises(DataSetInvalid, match=r"dataset.json: voxels of the label 'ignore'"):
            load_dataset(nnunet)

    @pytest.mark.parametrize(
        ("said", "meant"),
        [
            *((name, "CT") for name in ("ct", "CTA", "CT_A", "CE-CT", "CT (HU)")),
            *((name, "MR") for name in ("MRI", "mr_T1", "FLAIR", "t1w", "T1-weighted", "DWI")),
            *((name, "unknown") for name in ("noNorm", "PET", "PET/CT", "CT from MR", "CBCT", "")),
        ],
    )
    def test_modalities_have_many_names(self, nnunet: Path, said: str, meant: str) -> None:
        about(nnunet, channel_names={"0": said})
        assert {case.modality.value for case in load_dataset(nnunet).cases} == {meant}

    def test_a_modality_that_is_not_said_is_told_of_once(
        self, nnunet: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        load_dataset(nnunet)
        assert capsys.readouterr().err == ""
        about(nnunet, channel_names={"0": "whatever"})
        load_datasets([nnunet])
        load_datasets([nnunet])
        (told,) = capsys.readouterr().err.splitlines()
        assert told.startswith(f"{nnunet}: its channel name 'whatever' does not say whether")
        assert '"channel_names": {"0": "CT"}' in told
        about(nnunet, channel_names={})
        load_dataset(nnunet)
        assert capsys.readouterr().err.startswith(f"{nnunet}: it does not say whether")

    def test_channels_that_are_no_table_say_nothing(self, nnunet: Path) -> None:
        about(nnunet, channel_names=["CT"])
        assert load_dataset(nnunet).cases[0].modality is Modality.UNKNOWN

    def test_an_unknown_modality_is_told_by_the_intensities(self, nnunet: Path) -> None:
        about(nnunet, channel_names={"0": "whatever"})
        assert load_dataset(nnunet).cases[0].read_image().modality is Modality.MR

    def test_patients_may_have_several_cases(self, tmp_path: Path) -> None:
        root = write_nnunet(tmp_path / "twice", NAMES, patients={"anna": "a", "bert": "a"})
        assert [case.patient for case in load_dataset(root).cases] == ["a", "a", "cleo"]

    @pytest.mark.parametrize("other", ["anna_0000.nii", "anna.nii.gz", "anna.nrrd"])
    def test_two_images_of_one_case_are_refused(self, nnunet: Path, other: str) -> None:
        (nnunet / "imagesTr" / other).touch()
        first, second = sorted(["anna_0000.nii.gz", other])
        with pytest.raises(
            DataSetInvalid,
            match=rf"case 'anna', .*imagesTr/{first} and .*imagesTr/{second}: take one away",
        ):
            load_dataset(nnunet)

    def test_patients_may_be_numbers(self, nnunet: Path) -> None:
        (nnunet / "patients.json").write_text('{"anna": 17, "bert": "17"}')
        assert [case.patient for case in load_dataset(nnunet).cases] == ["17", "17", "cleo"]

    @pytest.mark.parametrize("labelled", [True, False])
    def test_patients_of_unknown_cases_are_refused(self, nnunet: Path, labelled: bool) -> None:
        wrong = ["anna.nii.gz", "anna_0000", "Bert", *(f"dora{n}" for n in range(2000))]
        said = dict.fromkeys([*NAMES, *wrong], "a")
        (nnunet / "patients.json").write_text(json.dumps(said))
        with pytest.raises(
            DataSetInvalid,
            match=r"patients.json names 'anna.nii.gz', 'anna_0000', 'Bert' and 2000 more, and no"
            r" case is called so: name cases as files in labelsTr .* such as 'anna'$",
        ):
            load_dataset(nnunet, labelled=labelled)

    @pytest.mark.parametrize("patient", [None, True, {"id": "a"}, ["a"], 1.5, "", " "])
    def test_patients_must_have_names(self, nnunet: Path, patient: object) -> None:
        (nnunet / "patients.json").write_text(json.dumps({"anna": "a", "bert": patient}))
        with pytest.raises(DataSetInvalid, match=r"patients.json must say who .* of 'bert'$"):
            load_dataset(nnunet)

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

    def test_labels_may_be_missing_where_none_is_asked_for(self, nnunet: Path) -> None:
        shutil.rmtree(nnunet / "labelsTr")
        about(nnunet, labels={"background": 0, "ball": 1, "ignore": 2})
        dataset = load_dataset(nnunet, labelled=False)
        assert dataset.classes == ()
        assert [case.name for case in dataset.cases] == list(NAMES)
        assert not any(case.labels for case in dataset.cases)
        with pytest.raises(DataSetInvalid):
            load_datasets([nnunet])

    def test_a_missing_folder_is_named(self, nnunet: Path) -> None:
        (nnunet / "imagesTr").rename(nnunet / "images")
        with pytest.raises(DataSetInvalid, match="imagesTr is missing"):
            load_dataset(nnunet)

    def test_a_name_that_is_no_text_is_refused(self, nnunet: Path) -> None:
        (nnunet / "imagesTr" / "b\udce4r.nii.gz").touch()
        with pytest.raises(
            DataSetInvalid, match=r"imagesTr: 'b\\udce4r.nii.gz' .* rename the file"
        ):
            load_dataset(nnunet)

    def test_a_byte_order_mark_is_no_fault(self, tmp_path: Path) -> None:
        folder = write_nnunet(tmp_path / "set", ("a",))
        path = folder / "dataset.json"
        path.write_text(path.read_text(), encoding="utf-8-sig")
        assert load_dataset(folder).classes

    @pytest.mark.parametrize(("text", "what"), [("{", "is no JSON"), ("[]", "hold an object")])
    def test_broken_descriptions_are_named(self, nnunet: Path, text: str, what: str) -> None:
        (nnunet / "dataset.json").write_text(text)
        with pytest.raises(DataSetInvalid, match=rf"dataset.json.*{what}"):
            load_dataset(nnunet)

    @pytest.mark.parametrize("name", ["dataset.json", "patients.json"])
    def test_what_is_said_twice_is_refused(self, nnunet: Path, name: str) -> None:
        whole = '{"labels": {"background": 0, "anna": 1, "bert": 2, "anna": 3}}'
        (nnunet / name).write_text(whole)
        with pytest.raises(DataSetInvalid, match=rf"{name} says 'anna' twice: leave one"):
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

    def test_hidden_files_and_folders_are_passed_over(self, tmp_path: Path) -> None:
        root = write_sam_med3d(tmp_path / "many", NAMES[:1])
        for place in ("ball/mr_clinic", "ball/.mr_clinic", ".ball/mr_clinic"):
            for part in ("imagesTr", "labelsTr"):
                (root / place / part).mkdir(parents=True, exist_ok=True)
                (root / place / part / "._anna.nii.gz").write_bytes(b"half")
        (root / "ball" / ".mr_clinic" / "imagesTr" / "bert.nii.gz").write_bytes(b"half")
        dataset = load_dataset(root)
        assert dataset.classes == ("ball", "cube")
        assert [case.name for case in dataset.cases] == ["mr_clinic_anna"]

    def test_unknown_sources_have_no_modality(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        root = write_sam_med3d(tmp_path / "many", NAMES[:1], source="us_lab")
        assert load_dataset(root).cases[0].modality is Modality.UNKNOWN
        (told,) = capsys.readouterr().err.splitlines()
        assert told.startswith(f"{root}: the folder name 'us_lab' does not say whether")

    def test_a_missing_label_file_is_named(self, tmp_path: Path) -> None:
        root = write_sam_med3d(tmp_path / "many", NAMES[:1])
        (root / "ball" / "mr_clinic" / "labelsTr" / "anna.nii.gz").unlink()
        with pytest.raises(DataSetInvalid, match=r"no label file .*ball/mr_clinic/labelsTr/anna"):
            load_dataset(root)

    def test_labels_may_be_missing_where_none_is_asked_for(self, tmp_path: Path) -> None:
        root = write_sam_med3d(tmp_path / "many", NAMES[:2])
        shutil.rmtree(root / "ball" / "mr_clinic" / "labelsTr")
        (dataset,) = load_datasets([root], labelled=False)
        assert [case.patient for case in dataset.cases] == list(NAMES[:2])
        assert not any(case.labels for case in dataset.cases)

    def test_scans_that_are_not_read_are_told_of(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        root = write_sam_med3d(tmp_path / "many", NAMES[:1])
        (root / "cube" / "mr_clinic" / "imagesTr" / "bert").mkdir()
        assert [case.name for case in load_dataset(root).cases] == ["mr_clinic_anna"]
        (told,) = capsys.readouterr().err.splitlines()
        assert told.startswith(f"{root}/cube/mr_clinic/imagesTr: passed over 'bert': scans are")

    def test_two_images_of_one_case_are_refused(self, tmp_path: Path) -> None:
        root = write_sam_med3d(tmp_path / "many", NAMES[:1])
        for part in ("imagesTr", "labelsTr"):
            (root / "ball" / "mr_clinic" / part / "anna.nii").touch()
        with pytest.raises(
            DataSetInvalid, match=r"case 'anna', .*imagesTr/anna.nii and .*imagesTr/anna.nii.gz: "
        ):
            load_dataset(root)

    def test_cases_of_two_folders_may_not_have_one_name(self, tmp_path: Path) -> None:
        root = write_sam_med3d(tmp_path / "many", ["b_anna"], source="mr_a")
        write_sam_med3d(root, ["anna"], source="mr_a_b")
        with pytest.raises(
            DataSetInvalid,
            match=r"case 'mr_a_b_anna', .*ball/mr_a/.*/b_anna.* and .*ball/mr_a_b/.*/anna.*: take",
        ):
            load_dataset(root)

    def test_patients_are_said_for_files_names(self, tmp_path: Path) -> None:
        root = write_sam_med3d(tmp_path / "many", NAMES[:2])
        (root / "patients.json").write_text('{"anna": "a", "bert": "a"}')
        assert [case.patient for case in load_dataset(root).cases] == ["a", "a"]
        (root / "patients.json").write_text('{"mr_clinic_anna": "a", "bert": "a"}')
        with pytest.raises(DataSetInvalid, match=r"'mr_clinic_anna', and no case .* as 'anna'$"):
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
