"""Objects of unlabelled images: one piece, of reasonable size, alike within."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import label

from sammoe.training.data.pseudo import pseudo
from sammoe.training.data.split import images


@pytest.fixture
def scan() -> NDArray[np.float32]:
    x, y, z = np.ogrid[:40, :40, :40]
    image = np.full((40, 40, 40), -900, np.float32)
    image[4:36, 4:36, 4:36] = -100
    image[(x - 13) ** 2 + (y - 20) ** 2 + (z - 20) ** 2 < 49] = 60
    image[(x - 29) ** 2 + (y - 20) ** 2 + (z - 20) ** 2 < 25] = 60
    return image + np.random.default_rng(0).normal(0, 5, image.shape).astype(np.float32)


def test_an_object_is_one_piece_of_like_voxels(scan: NDArray[np.float32]) -> None:
    found = 0
    for seed in range(20):
        mask = pseudo(scan, np.random.default_rng(seed))
        if mask is None:
            continue
        found += 1
        assert mask.dtype == np.uint8
        assert 120 <= mask.sum() <= 0.35 * mask.size
        assert label(mask)[1] == 1
        assert mask[scan < -700].mean() < 0.06
    assert found >= 10


def test_a_constant_image_has_no_object() -> None:
    flat = np.full((20, 20, 20), 5, np.float32)
    assert pseudo(flat, np.random.default_rng(0)) is None


def test_specks_are_refused() -> None:
    dust = np.random.default_rng(1).normal(0, 1, (16, 16, 16)).astype(np.float32)
    found = [pseudo(dust, np.random.default_rng(s)) for s in range(30)]
    assert any(mask is None for mask in found)


@pytest.mark.data
@pytest.mark.parametrize("folder", ["sts_ct", "sts_mr_t1"])
def test_real_scans_have_objects(real_data: Path, folder: str) -> None:
    path = images(real_data, folder, part="train")[0]
    scan = nib.nifti1.Nifti1Image.from_filename(path)
    image = np.asarray(scan.dataobj, np.float32)[:64, :64, :48]
    found = [pseudo(image, np.random.default_rng(s)) for s in range(6)]
    assert sum(mask is not None for mask in found) >= 3
