"""Brain maps: renumbering, smooth upsampling, and what is never a target."""

from pathlib import Path

import numpy as np
import pytest

from sammoe.training.data import brain_labels
from sammoe.training.data.brains import brains, smooth_upsample

_HIPPOCAMPUS = {brain_labels.code(17), brain_labels.code(53)}


def test_the_hippocampus_is_in_no_target() -> None:
    unions = brain_labels.unions()
    for target in brain_labels.weights():
        assert not _HIPPOCAMPUS & set(unions.get(target, (target,)))


@pytest.mark.parametrize("number", [10, 50, 12, 52, 4, 16, 47, 3])
def test_nuclei_ventricles_and_hemispheres_are_targets(number: int) -> None:
    assert brain_labels.weights()[brain_labels.code(number)] > 0


def test_codes_fit_a_byte_and_unions_are_named() -> None:
    codes = [brain_labels.code(n) for n in brain_labels.NAMES]
    assert len(set(codes)) == len(codes)
    assert max(codes) < 200
    assert brain_labels.code(0) == 0
    assert set(brain_labels.unions()) <= set(brain_labels.names())


def test_upsampling_keeps_volumes_and_rounds_corners() -> None:
    labels = np.zeros((24, 24, 24), np.uint8)
    x, y, z = np.ogrid[:24, :24, :24]
    labels[(x - 12) ** 2 + (y - 12) ** 2 + (z - 12) ** 2 < 64] = 1
    labels[11:13, 11:13, 4:12] = 2
    fine = smooth_upsample(labels)
    assert fine.shape == (48, 48, 48)
    for label, loss in ((1, 0.05), (2, 0.35)):
        ratio = (fine == label).sum() / (8 * (labels == label).sum())
        assert 1 - loss < ratio < 1.1
    blocks = (fine == 1).reshape(24, 2, 24, 2, 24, 2).mean(axis=(1, 3, 5))
    assert ((blocks > 0) & (blocks < 1)).sum() > 100


def _head() -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    labels = np.zeros((1, 64, 64, 64), np.int16)
    labels[0, 8:56, 8:56, 8:56] = 511
    labels[0, 12:32, 12:52, 12:52] = 2
    labels[0, 32:52, 12:52, 12:52] = 41
    labels[0, 24:30, 28:36, 28:36] = 10
    return labels


def test_a_file_of_maps_is_read_on_a_grid_of_one_and_a_half_mm(tmp_path: Path) -> None:
    np.savez(tmp_path / "maps.npz", labels=_head())
    (source,) = brains(tmp_path / "maps.npz")
    assert source.labels.shape == (128, 128, 128)
    assert source.spacing_mm == 1.5
    assert source.kind == "brain"
    assert source.mask(source.labels, brain_labels.code(10)).sum() == pytest.approx(3072, rel=0.1)
    assert source.names[brain_labels.code(10)] == "left thalamus"


def test_an_unknown_id_is_refused(tmp_path: Path) -> None:
    labels = _head()
    labels[0, 0, 0, 0] = 99
    np.savez(tmp_path / "maps.npz", labels=labels)
    with pytest.raises(KeyError):
        brains(tmp_path / "maps.npz")
