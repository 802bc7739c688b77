import numpy as np
import pytest

from sammoe.volume.resample import taps


def test_a_box_of_one_sample_is_linear_interpolation() -> None:
    values = np.array([1.0, 5.0, 2.0, 8.0], dtype=np.float32)
    position = np.array([0.0, 0.25, 1.5, 2.75, 3.0])
    got = taps(position, 4).rows(values[:, None])[:, 0]
    assert got == pytest.approx(np.interp(position, np.arange(4), values))


def test_the_edge_sample_repeats_up_to_its_outer_edge_and_no_further() -> None:
    weights = taps(np.array([-0.51, -0.5, -0.25, 3.25, 3.5, 3.51]), 4).matrix(4)
    assert weights[1:3] == pytest.approx(np.array([[1, 0, 0, 0]] * 2))
    assert weights[3:5] == pytest.approx(np.array([[0, 0, 0, 1]] * 2))
    assert not weights[[0, 5]].any()


@pytest.mark.parametrize("width", [1.0, 1.3, 2.0, 3.7, 12.0])
def test_rows_sum_to_one_inside(width: float) -> None:
    plan = taps(np.linspace(-0.5, 8.5, 50), 9, width)
    assert plan.weights.sum(axis=1) == pytest.approx(np.ones(50))
    assert plan.weights.min() >= 0


def test_a_wide_box_is_the_area_average() -> None:
    values = np.array([1, 2, 3, 4, 5, 6], dtype=np.float32)
    # Three outputs of two samples each; then one that covers half of 2, all of 3 and half of 4.
    plan = taps(np.array([0.5, 2.5, 4.5, 2.0]), 6, 2.0)
    assert plan.rows(values[:, None])[:, 0] == pytest.approx([1.5, 3.5, 5.5, 3.0])


def test_rows_and_matrix_say_the_same_for_descending_positions() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(7, 2, 3)).astype(np.float32)
    plan = taps(np.linspace(7, -1, 20), 7, 2.4)
    expected = np.tensordot(plan.matrix(7), values, axes=1)
    assert plan.rows(values) == pytest.approx(expected, abs=1e-6)


def test_one_sample_is_enough() -> None:
    plan = taps(np.array([-0.4, 0.0, 0.4, 0.6]), 1)
    assert plan.matrix(1)[:, 0].tolist() == [1, 1, 1, 0]


def test_only_needed_samples_are_named() -> None:
    plan = taps(np.array([10.25, 12.5]), 100)
    assert plan.needed == slice(10, 14)
    assert plan.shifted(-10).first.tolist() == [0, 2]
