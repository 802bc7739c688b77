import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import paste
from sammoe.volume.prior import FULL_LOGIT, mask_to_logits
from sammoe.volume.volume import Modality
from sammoe.volume.window import WindowRule, window_for_point
from tests.unit.volume.shapes import ball, dice, rule

OFFICIAL = WindowRule(128, 16, (1.5,), {"CT": 1.5, "MR": 1.5, "unknown": 1.5})


def overlap(geometry: Geometry, radius_mm: float, windows: WindowRule) -> float:
    """Dice of a ball with itself, by way of logits."""
    middle = [(n - 1) / 2 + 0.3 for n in geometry.shape]
    mask = ball(geometry, geometry.index_to_ras(np.array([middle]))[0], radius_mm)
    window = window_for_point(geometry, middle, Modality.MR, windows)
    logits = mask_to_logits(mask, window, geometry, windows)
    assert logits.shape == (windows.cells,) * 3
    assert logits.dtype == np.float32
    assert np.abs(logits).max() <= FULL_LOGIT
    return dice(paste(logits, window, geometry).full(geometry.shape), mask)


def test_a_20_mm_ball_comes_back_through_cells_of_6_mm() -> None:
    assert overlap(Geometry((70, 72, 74), np.eye(4)), 10, OFFICIAL) >= 0.97


def test_a_ball_comes_back_on_an_oblique_anisotropic_grid() -> None:
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", (25, -30, 15), degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag((0.8, 0.9, 2.5))
    assert overlap(Geometry((90, 80, 30), affine), 15, OFFICIAL) >= 0.97


def test_a_ball_comes_back_where_cells_are_voxels() -> None:
    assert overlap(Geometry((40, 40, 40), np.eye(4)), 10, rule(24, 4)) >= 0.97


@pytest.mark.parametrize(("value", "sign"), [(0, -1), (1, 1)])
def test_all_or_nothing_is_said_with_full_force(value: int, sign: int) -> None:
    geometry = Geometry((60, 60, 60), np.diag([1.5, 1.5, 1.5, 1.0]))
    mask = np.full(geometry.shape, value, dtype=np.uint8)
    window = window_for_point(geometry, (30, 30, 30), Modality.MR, rule())
    logits = mask_to_logits(mask, window, geometry, rule())
    # Whole inside or outside the deepest distance is not known; the sign is.
    assert (np.sign(logits) == sign).all()
    assert logits[6, 6, 6] == pytest.approx(sign * FULL_LOGIT, abs=1e-3)


def test_outside_of_the_volume_is_outside_of_the_mask() -> None:
    geometry = Geometry((12, 12, 12), np.diag([1.5, 1.5, 1.5, 1.0]))
    window = window_for_point(geometry, (6, 6, 6), Modality.MR, rule())
    logits = mask_to_logits(np.ones(geometry.shape), window, geometry, rule())
    assert logits[0].max() < 0
    assert logits[6, 6, 6] > 0
