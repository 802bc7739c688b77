from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from sammoe.errors import DataSetInvalid
from sammoe.training.datasets import (
    Case,
    load_dataset,
)
from tests.datasets import AFFINE, SHAPE, scan, write_sam_med3d, write_scan
from tests.unit.training.datasets.conftest import NAMES, label_file


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

    def test_labels_whose_axes_changed_places(self, case: Case) -> None:
        voxels = np.zeros((20, 20, 18), np.float32)
        voxels[5:9, 5:9, 5:9] = 1
        write_scan(case.image, voxels)
        write_scan(label_file(case), voxels.swapaxes(0, 1), AFFINE[:, [1, 0, 2, 3]])
        self.refused(case, r"lies elsewhere than its image, by up to 38.0 mm")

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
