import numpy as np
from numpy.typing import NDArray

from sammoe.training.views import random_views, target_views
from sammoe.volume.geometry import Geometry
from sammoe.volume.volume import Modality, ModalitySource, Volume
from tests.unit.training.small import RULE, SIDE

WIDE = 48
"""Voxels of 3 mm: wider than the largest window, 96 mm."""


def volume() -> Volume:
    voxels = np.random.default_rng(0).integers(1, 200, (WIDE,) * 3, dtype=np.int16)
    geometry = Geometry((WIDE,) * 3, np.diag([3.0, 3, 3, 1]))
    return Volume(voxels, geometry, Modality.MR, ModalitySource.TAG)


def shell() -> NDArray[np.bool_]:
    """The outermost voxels alone."""
    mask = np.ones((WIDE,) * 3, bool)
    mask[1:-1, 1:-1, 1:-1] = False
    return mask


def test_a_box_whose_window_shows_no_target_is_left_out() -> None:
    rng = np.random.default_rng(0)
    given = target_views(volume(), shell(), RULE, windows=6, rng=rng, augment=False)
    assert [view.boxed for view in given] == [False] * 3


def test_boxes_come_in_many_sizes_and_spacings() -> None:
    rng, anywhere = np.random.default_rng(0), np.ones((WIDE,) * 3, bool)
    views = list(random_views(volume(), anywhere, RULE, windows=60, rng=rng))
    assert {view.window.spacing for view in views if view.boxed} == set(RULE.spacings)
    sides = [(v.box[3:] - v.box[:3]) * v.window.spacing for v in views if v.boxed]
    assert np.min(sides) < 20
    assert np.max(sides) > 70
    for view in views:
        assert (view.box >= -0.5).all()
        assert (view.box <= SIDE - 0.5).all()


def test_a_box_is_cut_to_its_window() -> None:
    mask = np.ones((WIDE,) * 3, bool)
    views = target_views(
        volume(), mask, RULE, windows=2, rng=np.random.default_rng(0), augment=False
    )
    (_, boxed) = views
    assert boxed.window.spacing == RULE.spacings[-1]
    assert boxed.box.tolist() == [-0.5] * 3 + [SIDE - 0.5] * 3


def test_clicks_lie_at_the_middle_more_often_than_not() -> None:
    mask = np.zeros((WIDE,) * 3, bool)
    mask[20:24, 20:24, 8:40] = True
    rng = np.random.default_rng(0)
    views = list(target_views(volume(), mask, RULE, windows=60, rng=rng, augment=False))
    clicks = np.array([v.clicks[:, 2] for v in views if v.boxed]).ravel()
    share = np.mean(np.abs(clicks - np.median(clicks)) * views[1].window.spacing < 3 * 32 / 8)
    assert 0.5 < share < 0.8
