"""Solids: their volumes, turns, borders, and what painting may cover."""

import numpy as np
import pytest

from sammoe.training.data.canvas import Canvas, curve, rotation


@pytest.fixture
def canvas() -> Canvas:
    labels = np.zeros((60, 50, 40), np.uint8)
    return Canvas(labels, np.array([-60.0, -50, -40]), np.full(3, 2.0), np.random.default_rng(3))


def _volume(canvas: Canvas, label: int) -> float:
    return float((canvas.labels == label).sum() * np.prod(canvas.step))


@pytest.mark.parametrize("turn", [(0, 0, 0), (0.4, -0.7, 1.1)])
def test_an_ellipsoid_has_its_volume_however_turned(
    canvas: Canvas, turn: tuple[float, float, float]
) -> None:
    canvas.paint(canvas.ellipsoid((2, -3, 1), (25, 18, 14), turn=turn), 5)
    assert _volume(canvas, 5) == pytest.approx(4 / 3 * np.pi * 25 * 18 * 14, rel=0.03)
    centre = np.argwhere(canvas.labels == 5).mean(0) * 2 + canvas.start
    assert np.allclose(centre, (2, -3, 1), atol=0.4)


def test_a_higher_power_is_boxier(canvas: Canvas) -> None:
    canvas.paint(canvas.ellipsoid((0, 0, 0), (20, 20, 20), power=8), 5)
    assert 6.3 < _volume(canvas, 5) / 20**3 < 8


def test_a_rough_surface_differs_at_every_call(canvas: Canvas) -> None:
    one, other = (canvas.ellipsoid((0, 0, 0), (20, 20, 20), rough=2) for _ in range(2))
    assert not np.array_equal(one.out, other.out)
    canvas.paint(one, 5)
    assert _volume(canvas, 5) == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.25)


def test_a_tube_has_its_volume_and_knows_the_nearest_point_of_its_path(canvas: Canvas) -> None:
    tube = canvas.tube([(-40, 0.7, 0.4), (0, 0.7, 0.4), (40, 0.7, 0.4)], 8)
    canvas.paint(tube, 7)
    assert _volume(canvas, 7) == pytest.approx(np.pi * 64 * 80 + 4 / 3 * np.pi * 512, rel=0.08)
    assert tube.owner is not None
    inside = tube.out < 0
    first = np.argwhere(inside)[:, 0]
    assert np.corrcoef(first, tube.owner[inside])[0, 1] > 0.98


def test_painting_goes_over_what_it_may_only_and_as_deep_as_asked(canvas: Canvas) -> None:
    canvas.labels[:30] = 1
    ball = canvas.ellipsoid((0, 0, 0), (20, 20, 20))
    canvas.paint(ball, 2, over=(1,))
    assert (canvas.labels[30:] == 0).all()
    half = _volume(canvas, 2)
    canvas.paint(ball, 3, over=(2,), deep=5)
    assert _volume(canvas, 3) == pytest.approx(half / 20**3 * 15**3 * 2 / 2, rel=0.1)


def test_what_lies_outside_of_the_grid_is_cut_off(canvas: Canvas) -> None:
    canvas.paint(canvas.ellipsoid((500, 0, 0), (20, 20, 20)), 4)
    canvas.paint(canvas.tube([(400, 0, 0), (500, 0, 0)], 9), 4)
    assert not canvas.labels.any()
    canvas.paint(canvas.tube([(50, 0, 0), (500, 0, 0)], 9), 4)
    assert canvas.labels.any()


def test_a_rotation_about_z_takes_x_to_y() -> None:
    assert np.allclose(rotation((0, 0, np.pi / 2)) @ (1, 0, 0), (0, 1, 0))
    spin = rotation((0.3, 0.2, -0.9))
    assert np.allclose(spin @ spin.T, np.eye(3))


def test_a_curve_passes_its_points_with_their_radii() -> None:
    points, radii = curve([(0, 0, 0), (30, 10, 0), (60, 0, 5), (90, 0, 0)], [1, 2, 3, 4])
    gaps = np.linalg.norm(points - np.array([30, 10, 0]), axis=1)
    assert gaps.min() < 2
    assert radii[gaps.argmin()] == pytest.approx(2, abs=0.1)
    assert (radii[0], radii[-1]) == (1, 4)
