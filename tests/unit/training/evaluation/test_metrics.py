import numpy as np
import pytest
from scipy.spatial.distance import cdist

from sammoe.training.evaluation.metrics import Mask, Spacing, bounding_slices, dice, surface_dice

SHAPE = (9, 10, 11)


def blob(seed: int) -> Mask:
    """A ragged blob that touches the array's edge."""
    rng = np.random.default_rng(seed)
    mask = rng.random(SHAPE) < 0.15
    mask[:5, 2:8, 3:9] |= rng.random((5, 6, 6)) < 0.9
    return mask


def by_pairs(mask: Mask, target: Mask, spacing: Spacing, tolerance: float) -> float:
    """The same number voxel by voxel, face by face, pair by pair."""
    found = []
    for one in (mask, target):
        places, areas = [], []
        for voxel in np.argwhere(one):
            area = 0.0
            for axis in range(3):
                for step in (-1, 1):
                    other = voxel.copy()
                    other[axis] += step
                    outside = (other < 0).any() or (other >= SHAPE).any()
                    if outside or not one[tuple(other)]:
                        area += spacing[(axis + 1) % 3] * spacing[(axis + 2) % 3]
            if area:
                places.append(voxel * np.array(spacing))
                areas.append(area)
        found.append((np.array(places), np.array(areas)))
    (a, area_a), (b, area_b) = found
    distances = cdist(a, b)
    near = area_a[distances.min(1) <= tolerance].sum() + area_b[distances.min(0) <= tolerance].sum()
    return float(near / (area_a.sum() + area_b.sum()))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.9, 3.3), (1.5, 1.5, 1.5)])
@pytest.mark.parametrize("tolerance", [0.5, 1.0, 2.0])
def test_surface_dice_is_that_of_all_pairs(spacing: Spacing, tolerance: float) -> None:
    mask, target = blob(0), blob(1)
    expected = by_pairs(mask, target, spacing, tolerance)
    assert surface_dice(mask, target, spacing, tolerance) == pytest.approx(expected)
    assert 0 < expected < 1


def test_distances_are_in_millimetres() -> None:
    mask, target = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    mask[2:6, 2:6, 2:6] = target[2:6, 2:6, 2:6] = True
    mask[2:6, 2:6, 6] = True
    assert surface_dice(mask, target, (1.0, 1.0, 1.0)) == 1
    assert surface_dice(mask, target, (1.0, 1.0, 1.5)) < 1


def test_a_surface_of_thin_slices_weighs_by_its_area() -> None:
    """A plate that is off by 3 mm across agrees at its rim alone, which is a small part of it."""
    mask, target = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    mask[4, 1:9, 1:10] = target[4, 1:9, 1:10] = True
    target[5, 1:9, 1:10] = True
    assert surface_dice(mask, target, (3.0, 1.0, 1.0)) == pytest.approx(
        by_pairs(mask, target, (3.0, 1.0, 1.0), 1.0)
    )


def test_empty_masks() -> None:
    nothing, mask = np.zeros(SHAPE, bool), blob(0)
    assert surface_dice(nothing, mask, (1, 1, 1)) == surface_dice(mask, nothing, (1, 1, 1)) == 0
    assert np.isnan(surface_dice(nothing, nothing, (1, 1, 1)))
    assert dice(nothing, mask) == 0
    assert np.isnan(dice(nothing, nothing))
    assert dice(mask, mask) == surface_dice(mask, mask, (1, 1, 1)) == 1
    assert nothing[bounding_slices(nothing)].size == 0


def test_bounding_slices_keep_their_margin_inside() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[0:2, 4, 9:11] = True
    assert bounding_slices(mask) == (slice(0, 2), slice(4, 5), slice(9, 11))
    assert bounding_slices(mask, 2) == (slice(0, 4), slice(2, 7), slice(7, 11))
