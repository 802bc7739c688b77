from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from sammoe.errors import NoForeground
from sammoe.volume.crop import Foreground, crop, foreground, normalise, resample_window
from sammoe.volume.window import Window, window_at, window_for_point
from tests.unit.volume.shapes import AXIS_ORDERS, FLIPS, axis_affine, rule, volume_of
from tests.windows import window_to_source

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("order", AXIS_ORDERS)
@pytest.mark.parametrize("layout", ["C", "F"])
def test_a_window_is_linear_interpolation_at_its_voxels(
    order: tuple[int, int, int], layout: Any
) -> None:
    voxels = np.asarray(RNG.normal(size=(30, 42, 9)).astype(np.float32), order=layout)
    index = np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    for flips in FLIPS:
        volume = volume_of(voxels, axis_affine(order, flips, (1.0, 0.7, 2.3)))
        window = window_for_point(volume.geometry, (20, 20, 4), volume.modality, rule())
        source = window_to_source(volume.geometry, window, index)
        expected = map_coordinates(voxels, source.T, order=1, mode="nearest")
        outside = (source < -0.5) | (source > np.array(voxels.shape) - 0.5)
        expected[outside.any(axis=1)] = 0
        got = resample_window(voxels, volume.geometry, window)
        np.testing.assert_allclose(got.reshape(-1), expected, atol=1e-5)


def test_a_window_on_the_same_grid_is_a_plain_cut() -> None:
    volume = volume_of(RNG.integers(0, 99, (40, 40, 40)).astype(np.int16), np.diag([1.5] * 3 + [1]))
    got = resample_window(volume.voxels, volume.geometry, Window(1.5, (3, -5, 30), 24))
    assert np.array_equal(got[:, 5:, :10], volume.voxels[3:27, :19, 30:])
    assert not got[:, :5].any()
    assert not got[:, :, 10:].any()


def test_averaging_keeps_the_mean_and_a_plain_cut_does_not_alias() -> None:
    # A checkerboard finer than the model grid: interpolation sees voxels, averaging sees grey.
    board = (np.indices((72, 72, 72)).sum(axis=0) % 2 * 100).astype(np.uint8)
    volume = volume_of(board, np.diag([0.5, 0.5, 0.5, 1.0]))
    window = Window(1.5, (0, 0, 0), 24)
    assert resample_window(board, volume.geometry, window).std() > 40
    averaged = resample_window(board, volume.geometry, window, average=True)
    assert averaged.mean() == pytest.approx(50, abs=0.1)
    assert averaged.std() < 2.5


def test_averaging_is_interpolation_where_the_model_grid_is_finer() -> None:
    voxels = RNG.normal(size=(12, 12, 12)).astype(np.float32)
    volume = volume_of(voxels, np.diag([3.0, 3.0, 3.0, 1.0]))
    window = Window(1.5, (0, 0, 0), 24)
    plain = resample_window(voxels, volume.geometry, window)
    assert np.array_equal(plain, resample_window(voxels, volume.geometry, window, average=True))


def test_a_crop_is_standardised_by_its_foreground() -> None:
    volume = volume_of(RNG.integers(-50, 200, (60, 60, 60)).astype(np.int16))
    window = window_for_point(volume.geometry, (30, 30, 30), volume.modality, rule())
    raw = resample_window(volume.voxels, volume.geometry, window)
    got = crop(volume, window, rule())
    assert got.shape == (1, 1, 24, 24, 24)
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    assert got[0, 0][raw > 0].mean() == pytest.approx(0, abs=1e-5)
    assert got[0, 0][raw > 0].std(ddof=1) == pytest.approx(1, abs=1e-5)


def test_ct_is_clamped_before_it_is_resampled_and_mr_is_not() -> None:
    voxels = RNG.integers(-3000, 3000, (40, 40, 40)).astype(np.int16)
    window = Window(1.5, (0, 0, 0), 24)
    clamped = crop(volume_of(np.clip(voxels, -1000, 1000)), window, rule())
    got = crop(volume_of(voxels, modality="CT"), window, rule())
    np.testing.assert_allclose(got, clamped, atol=1e-5)
    assert np.abs(crop(volume_of(voxels), window, rule()) - clamped).max() > 0.1


def test_the_outside_is_a_standardised_zero() -> None:
    volume = volume_of(RNG.integers(100, 200, (12, 12, 12)).astype(np.uint8))
    window = window_at((8, 8, 8), (4, 4, 4), 1.5, rule())
    raw = resample_window(volume.voxels, volume.geometry, window)
    moments = foreground(raw)
    got = crop(volume, window, rule())[0, 0]
    assert (raw[0] == 0).all()
    assert got[0] == pytest.approx(np.full((24, 24), -moments.mean / moments.std), rel=1e-5)


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_volume_normalisation_uses_the_whole_volume(modality: str) -> None:
    voxels = RNG.integers(-900, 1500, (50, 50, 50)).astype(np.int16)
    voxels[:24] += 300
    volume = volume_of(voxels, modality=modality)
    window = Window(1.5, (0, 0, 0), 24)
    whole = rule(normalisation="volume")
    seen = np.clip(voxels, -1000, 1000) if modality == "CT" else voxels
    inside = seen[seen > 0].astype(np.float64)
    raw = resample_window(seen, volume.geometry, window)
    expected = (raw - inside.mean()) / inside.std(ddof=1)
    np.testing.assert_allclose(crop(volume, window, whole)[0, 0], expected, atol=1e-4)


def test_volume_normalisation_can_not_be_had_without_the_volume() -> None:
    with pytest.raises(ValueError, match="whole volume"):
        normalise(np.ones((2, 2, 2)), rule(normalisation="volume"))
    got = normalise(np.full(3, 7.0), rule(normalisation="volume"), whole=Foreground(5.0, 2.0))
    assert got.tolist() == [1, 1, 1]


def test_foreground_agrees_with_numpy_over_many_blocks() -> None:
    image = RNG.normal(50, 100, (64, 64, 33)).astype(np.float32)
    inside = image[image > 0].astype(np.float64)
    got = foreground(image)
    assert got.mean == pytest.approx(inside.mean(), rel=1e-9)
    assert got.std == pytest.approx(inside.std(ddof=1), rel=1e-9)


def test_foreground_keeps_its_digits_far_from_zero() -> None:
    image = np.array([1e6, 1e6 + 3, 1e6 + 6, -5], dtype=np.float64)
    got = foreground(image)
    assert (got.mean, got.std) == pytest.approx((1e6 + 3, 3.0), rel=1e-9)


@pytest.mark.fault("S14")
@pytest.mark.parametrize(
    "image",
    [
        np.zeros((3, 3, 3)),
        np.full((3, 3, 3), -7.0),
        np.full((3, 3, 3), 0.1, dtype=np.float32),
        np.array([0.0, 5.0, -1.0]),
        np.array([1.0, 2.0, np.nan]),
        np.array([1.0, 2.0, np.inf]),
        np.array([1.0, 2.0, -np.inf]),
        np.array([]),
    ],
)
def test_nothing_to_see_is_refused(image: NDArray[Any]) -> None:
    with pytest.raises(NoForeground, match="above 0"):
        normalise(image, rule())


def test_a_window_of_air_is_refused() -> None:
    voxels = np.full((60, 60, 60), -1000, dtype=np.int16)
    voxels[50:, 50:, 50:] = RNG.integers(0, 100, (10, 10, 10))
    with pytest.raises(NoForeground):
        crop(volume_of(voxels, modality="CT"), Window(1.5, (0, 0, 0), 24), rule())
