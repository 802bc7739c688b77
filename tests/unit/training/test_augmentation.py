import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.training.augmentation import augmented
from sammoe.volume.geometry import Geometry
from sammoe.volume.volume import Modality, ModalitySource, Volume

SHAPE = (10, 12, 14)
AFFINE = np.array([[0.0, -2, 0, 5], [3, 0, 0, 6], [0, 0, 4, 7], [0, 0, 0, 1]])
"""Right and left lie along the second axis."""


def volume(modality: Modality) -> Volume:
    voxels = np.random.default_rng(0).integers(-200, 900, SHAPE, dtype=np.int16)
    return Volume(voxels, Geometry(SHAPE, AFFINE), modality, ModalitySource.TAG)


def drawn(source: Volume, count: int = 40) -> list[tuple[Volume, NDArray[np.bool_]]]:
    rng, mask = np.random.default_rng(1), source.voxels > 500
    return [augmented(source, mask, rng) for _ in range(count)]


def mirrored(mask: NDArray[np.bool_], source: Volume) -> bool:
    """Whether the mask is the mirrored one of `drawn`; it is one of the two."""
    plain = source.voxels > 500
    assert np.array_equal(mask, plain) or np.array_equal(mask, plain[:, ::-1])
    return not np.array_equal(mask, plain)


def test_left_and_right_are_exchanged_half_of_the_time() -> None:
    source = volume(Modality.MR)
    flips = [mirrored(mask, source) for _, mask in drawn(source)]
    assert 10 < sum(flips) < 30


@pytest.mark.parametrize("modality", [Modality.CT, Modality.MR, Modality.UNKNOWN])
def test_voxels_change_their_size_along_each_axis_by_itself(modality: Modality) -> None:
    ratios = np.array(
        [np.divide(scan.geometry.spacing, (3, 2, 4)) for scan, _ in drawn(volume(modality))]
    )
    assert np.all((ratios > 0.7) & (ratios < 1.4))
    assert np.log(ratios).std(axis=0) == pytest.approx([0.08] * 3, rel=0.4)
    assert np.ptp(ratios, axis=1).min() > 0


def test_ct_is_shifted_as_a_whole() -> None:
    source = volume(Modality.CT)
    shifts = []
    for scan, mask in drawn(source):
        voxels = scan.voxels[:, ::-1] if mirrored(mask, source) else scan.voxels
        shift = voxels - source.voxels
        assert np.ptp(shift) < 1e-3
        shifts.append(float(shift.mean()))
    assert np.abs(shifts).max() <= 15
    assert np.ptp(shifts) > 10


def test_other_scans_keep_the_order_of_their_intensities_roughly_and_what_is_not_above_0() -> None:
    source = volume(Modality.MR)
    inside = source.voxels > 0
    curves = []
    for scan, mask in drawn(source):
        voxels = scan.voxels[:, ::-1] if mirrored(mask, source) else scan.voxels
        assert np.array_equal(voxels[~inside], source.voxels[~inside])
        assert np.corrcoef(voxels[inside], source.voxels[inside])[0, 1] > 0.9
        assert voxels[inside].min() >= 0
        curves.append(np.median(voxels[inside]))
    assert np.ptp(curves) > 100


def test_nothing_above_0_stays_as_it_is() -> None:
    source = volume(Modality.MR)
    empty = Volume(np.minimum(source.voxels, 0), source.geometry, Modality.MR, ModalitySource.TAG)
    scan, _ = augmented(empty, source.voxels > 500, np.random.default_rng(0))
    assert scan.voxels.max() == 0
