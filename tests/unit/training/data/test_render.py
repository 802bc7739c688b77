"""Rendering: HU of CT, contrast of MR, and nothing that is not finite."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.training.data import brain_labels
from sammoe.training.data.anatomy import Part
from sammoe.training.data.labelmap import LabelMap
from sammoe.training.data.phantoms import torso
from sammoe.training.data.render import render
from sammoe.training.data.shapes import shapes
from sammoe.volume.volume import Modality

_SIDE = 48


@pytest.fixture(scope="module")
def trunk() -> LabelMap:
    return torso(np.random.default_rng(1))


@pytest.fixture(scope="module")
def brain() -> LabelMap:
    labels = np.zeros((_SIDE,) * 3, np.uint8)
    labels[4:44, 4:44, 4:44] = brain_labels.code(511)
    labels[8:40, 8:40, 8:40] = brain_labels.code(2)
    labels[8:24, 8:40, 8:40] = brain_labels.code(3)
    labels[16:32, 10:24, 16:32] = brain_labels.code(4)
    return LabelMap(labels, 1.5, brain_labels.names(), brain_labels.weights(), kind="brain")


def _crop(source: LabelMap) -> NDArray[np.uint8]:
    middle = [n // 2 - _SIDE // 2 for n in source.labels.shape]
    return np.ascontiguousarray(source.labels[tuple(slice(m, m + _SIDE) for m in middle)])


def test_ct_has_the_hu_of_its_tissues(trunk: LabelMap) -> None:
    medians: dict[Part, list[float]] = {p: [] for p in (Part.LUNG_L, Part.FAT, Part.LIVER)}
    labels = np.ascontiguousarray(trunk.labels[::2, ::2, ::2])
    for seed in range(8):
        image = render(labels, trunk, np.random.default_rng(seed), Modality.CT, voxel_mm=5)
        assert image.min() >= -1024
        for part in medians:
            medians[part].append(float(np.median(image[labels == part])))
    assert all(-980 < v < -650 for v in medians[Part.LUNG_L])
    assert all(-140 < v < -60 for v in medians[Part.FAT])
    assert all(20 < v < 165 for v in medians[Part.LIVER])
    assert np.ptp(medians[Part.LIVER]) > 10


def test_enhancement_brightens_the_kidneys_cortex(trunk: LabelMap) -> None:
    low = np.argwhere(trunk.labels == Part.CORTEX_L).min(0)
    labels = np.ascontiguousarray(trunk.labels[tuple(slice(n, n + 40) for n in low)])
    cortex = [
        float(np.median(image[labels == Part.CORTEX_L]))
        for image in (
            render(labels, trunk, np.random.default_rng(s), Modality.CT, voxel_mm=2.5)
            for s in range(12)
        )
    ]
    assert min(cortex) < 65
    assert max(cortex) > 110


@pytest.mark.parametrize("modality", list(Modality))
@pytest.mark.parametrize("voxel_mm", [1.5, 4.5])
def test_every_source_renders_in_every_modality(
    trunk: LabelMap, brain: LabelMap, modality: Modality, voxel_mm: float
) -> None:
    for source in (trunk, brain, shapes(np.random.default_rng(0))):
        labels = _crop(source)
        for seed in range(6):
            rng = np.random.default_rng(seed)
            image = render(labels, source, rng, modality, voxel_mm=voxel_mm)
            assert image.shape == labels.shape
            assert image.dtype == np.float32
            assert np.isfinite(image).all()
            assert image.std() > 0
            if modality is not Modality.CT:
                assert image.min() >= 0


def test_a_seed_gives_one_image(trunk: LabelMap) -> None:
    labels = _crop(trunk)
    one, same, other = (
        render(labels, trunk, np.random.default_rng(s), Modality.CT, voxel_mm=3) for s in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_many_brains_have_the_order_of_a_t1_image(brain: LabelMap) -> None:
    ordered = 0
    for seed in range(30):
        image = render(brain.labels, brain, np.random.default_rng(seed), Modality.MR, voxel_mm=1.5)
        csf, grey, white = (
            np.median(image[brain.labels == brain_labels.code(n)]) for n in (4, 3, 2)
        )
        ordered += int(csf < grey < white)
    assert 12 <= ordered < 30


def test_some_brains_are_stripped_to_exact_zeros(brain: LabelMap) -> None:
    skin = brain.labels == brain_labels.code(511)
    zero = [
        (
            render(brain.labels, brain, np.random.default_rng(s), Modality.MR, voxel_mm=1.5)[skin]
            == 0
        ).mean()
        for s in range(20)
    ]
    assert max(zero) == 1
    assert min(zero) == 0
