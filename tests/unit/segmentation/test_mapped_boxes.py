"""Boxes for decoders that know none."""

import numpy as np
import pytest

from sammoe.segmentation.mapped_boxes import PRIOR_LOGIT, box_as_click_and_prior
from sammoe.volume.window import WindowRule

RULE = WindowRule(32, 8, (1.5,), {"CT": 1.5, "MR": 1.5, "unknown": 1.5})
CENTRES = (np.arange(RULE.cells) + 0.5) * 32 / RULE.cells - 0.5


def test_prior_is_an_ellipsoid_within_the_box() -> None:
    lo, hi = np.array([4.0, 8.0, 2.0]), np.array([23.0, 21.0, 27.0])
    click, prior = box_as_click_and_prior((lo, hi), RULE)
    np.testing.assert_array_equal(click, (lo + hi) / 2)
    assert (prior.max(), prior.min()) == (PRIOR_LOGIT, -PRIOR_LOGIT)
    assert prior.dtype == np.float32
    inside = np.argwhere(prior > 0)
    places = CENTRES[inside]
    assert (places >= lo - 0.5).all()
    assert (places <= hi + 0.5).all()
    np.testing.assert_allclose(places.mean(axis=0), click, atol=0.01)
    volume = len(inside) * (32 / RULE.cells) ** 3
    assert volume == pytest.approx(np.pi / 6 * 0.9**3 * np.prod(hi - lo + 1), rel=0.1)
    # Soft: the surface is neither full nor empty.
    assert ((abs(prior) > 0) & (abs(prior) < PRIOR_LOGIT)).any()


@pytest.mark.parametrize("hi", [[9.0, 9.0, 9.0], [9.0, 25.0, 25.0]])
def test_thin_box_is_not_lost_between_cells(hi: list[float]) -> None:
    click, prior = box_as_click_and_prior((np.full(3, 9.0), np.array(hi)), RULE)
    nearest = tuple(np.abs(CENTRES[:, None] - click).argmin(axis=0))
    assert prior[nearest] > 0


def test_box_is_cut_off_at_the_window() -> None:
    lo, hi = np.array([-20.0, 4.0, 4.0]), np.array([11.5, 12.0, 60.0])
    click, _ = box_as_click_and_prior((lo, hi), RULE)
    np.testing.assert_array_equal(click, [5.5, 8.0, 17.75])
