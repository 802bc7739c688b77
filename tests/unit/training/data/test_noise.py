"""Smooth noise: interpolation is exact for constants, unit spread, grain of the asked size."""

import numpy as np
import pytest

from sammoe.training.data.noise import smooth_noise, spline_matrix, stretch


def test_weights_of_a_spline_sum_to_one() -> None:
    assert np.allclose(spline_matrix(37, 9).sum(1), 1, atol=1e-6)


def test_stretching_keeps_a_constant_and_a_ramp() -> None:
    assert np.allclose(stretch(np.full((4, 5, 6), 3, np.float32), (10, 11, 12)), 3, atol=1e-5)
    ramp = np.broadcast_to(np.arange(6, dtype=np.float32)[:, None, None], (6, 4, 4))
    out = stretch(np.ascontiguousarray(ramp), (30, 8, 8))[:, 4, 4]
    assert np.allclose(out, np.linspace(1, 4, 30), atol=1e-4)


@pytest.mark.parametrize("cell", [2.0, 8.0])
def test_noise_has_unit_spread_and_the_grain_asked_for(cell: float) -> None:
    field = smooth_noise((60, 60, 60), cell, np.random.default_rng(0))
    assert field.dtype == np.float32
    assert 0.85 < field.std() < 1.15
    step = np.diff(field, axis=0).std()
    assert 0.8 / cell < step < 1.8 / cell


def test_noise_is_the_seeds() -> None:
    a, b, c = (smooth_noise((9, 8, 7), 3, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
