"""How badly a mask fits its prompt, and what follows from it."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from sammoe.bundle import Routing
from sammoe.engine import decoder_inputs, fuse
from sammoe.engine.selector import accepts, agreement, decide, misfit, prompt_kind, slack_of
from sammoe.volume.window import WindowRule

Logits = NDArray[np.float32]

SIDE, CELLS = 32, 16
RULE = WindowRule(SIDE, 8, (1.5,), {"CT": 1.5, "MR": 1.5, "unknown": 1.5})
BOX = np.array([2, 3])
CENTRES = (np.arange(CELLS) + 0.5) * SIDE / CELLS - 0.5

places = hnp.arrays(np.float64, (3,), elements=st.floats(-0.5, SIDE - 0.5))
blocks = hnp.arrays(np.float32, (CELLS,) * 3, elements=st.floats(-32, 32, width=32))


def box_mask(lo: NDArray[Any], hi: NDArray[Any]) -> Logits:
    """How deep in a box with these first and last voxels inside a cell's centre lies, voxels."""
    depth = [
        np.minimum(CENTRES - (lo[axis] - 0.5), (hi[axis] + 0.5) - CENTRES) for axis in range(3)
    ]
    x, y, z = np.meshgrid(*depth, indexing="ij")
    mask: Logits = np.minimum(np.minimum(x, y), z).astype(np.float32)
    return mask


def box_misfit(logits: Logits, lo: Any, hi: Any) -> float:
    return misfit(logits, np.array([lo, hi], np.float32), BOX, SIDE)


@given(lo=places, size=hnp.arrays(np.float64, (3,), elements=st.floats(9, 20)))
@example(lo=np.array([-0.5, 3.0, 20.0]), size=np.full(3, 12.0))
def test_perfect_mask_of_a_box_has_no_misfit(
    lo: NDArray[np.float64], size: NDArray[np.float64]
) -> None:
    hi = lo + size
    # Half a cell beside the window's face no logit can tell where a mask ends: go to the face.
    lo, hi = np.where(lo < 2, -0.5, lo), np.where(hi > SIDE - 3, SIDE - 0.5, hi)
    inputs = decoder_inputs([], [], (lo, hi), None, RULE)
    clipped = inputs.coords[0].astype(np.float64)
    assume((clipped[1] - clipped[0] > 9).all())
    mask = box_mask(lo, hi)
    assert misfit(mask, inputs.coords, inputs.labels, SIDE) < 1e-3


def test_faces_are_measured_as_shares_of_the_side() -> None:
    lo, hi = np.array([8.0, 8.0, 8.0]), np.array([19.0, 19.0, 23.0])
    # One face 3 voxels short of a side of 12: a sixth of 1/4; and 4 of 16 too long on another.
    mask = box_mask(lo + np.array([3, 0, 0]), hi + np.array([0, 0, 4]))
    assert box_misfit(mask, lo, hi) == pytest.approx((3 / 12 + 4 / 16) / 6, abs=1e-6)


@given(blocks, places, places)
def test_misfit_is_never_negative_nor_nan_with_a_box(
    logits: Logits, a: NDArray[np.float64], b: NDArray[np.float64]
) -> None:
    found = box_misfit(logits, np.minimum(a, b), np.maximum(a, b))
    assert found >= 0
    assert math.isinf(found) <= (not (logits > 0).all())


def test_wider_scale_of_the_logits_changes_no_face() -> None:
    lo, hi = np.full(3, 7.0), np.full(3, 20.0)
    mask = box_mask(lo + 1, hi + 2)
    assert box_misfit(mask, lo, hi) == pytest.approx(box_misfit(100 * mask, lo, hi), rel=1e-5)


def test_empty_mask_is_infinitely_far_from_a_box() -> None:
    empty = np.full((CELLS,) * 3, -1.0, np.float32)
    assert box_misfit(empty, [4, 4, 4], [9, 9, 9]) == math.inf


def test_mask_that_fills_the_window_ends_at_its_faces() -> None:
    full = np.ones((CELLS,) * 3, np.float32)
    assert box_misfit(full, [0, 0, 0], [SIDE - 1] * 3) == 0
    # Beyond the window there is nothing to compare.
    assert box_misfit(full, [-40, 0, -0.5], [SIDE + 9, SIDE - 1, SIDE - 0.5]) == 0


def test_flat_box_is_compared_in_its_plane_only() -> None:
    lo, hi = np.array([4.0, 4.0, 4.0]), np.array([20.0, 20.0, 28.0])
    mask = box_mask(lo, hi)
    # Elsewhere, the mask spreads: that is not what was drawn.
    mask[:, :, CELLS - 1] = 5
    flat_lo, flat_hi = np.array([4.0, 4.0, 12.0]), np.array([20.0, 20.0, 12.0])
    assert box_misfit(mask, flat_lo, flat_hi) == pytest.approx(0, abs=1e-6)
    assert box_misfit(mask, [4, 4, 30], [20, 20, 30]) > 0.1
    mask[:, :, 5:8] = -1
    assert box_misfit(mask, flat_lo, flat_hi) == math.inf


def test_box_of_one_voxel_asks_only_whether_it_is_in_the_mask() -> None:
    mask = box_mask(np.full(3, 8.0), np.full(3, 20.0))
    assert box_misfit(mask, [12, 12, 12], [12, 12, 12]) == 0
    assert box_misfit(mask, [28, 12, 12], [28, 12, 12]) == math.inf


def test_clicks_beside_a_box_do_not_count() -> None:
    lo, hi = np.full(3, 8.0), np.full(3, 22.0)
    inputs = decoder_inputs([[1, 1, 1]], [1], (lo, hi), None, RULE)
    mask = box_mask(lo, hi)
    assert misfit(mask, inputs.coords, inputs.labels, SIDE) == box_misfit(mask, lo, hi)


def surprise(logit: float) -> float:
    """-log p of what is met with this logit."""
    return math.log1p(math.exp(-logit))


def test_misfit_of_several_clicks_is_the_mean_of_their_surprises() -> None:
    ramp = np.broadcast_to(CENTRES[:, None, None] - 10, (CELLS,) * 3).astype(np.float32)
    inputs = decoder_inputs([[12, 5, 5], [9, 9, 9], [14, 1, 1]], [1, 0, 1], None, None, RULE)
    # Signed logits: 2 at the first, 1 at the negative one, 4 at the last.
    expected = (surprise(2) + surprise(1) + surprise(4)) / 3
    assert misfit(ramp, inputs.coords, inputs.labels, SIDE) == pytest.approx(expected)
    inputs = decoder_inputs([[20, 5, 5], [17, 9, 9]], [1, 0], None, None, RULE)
    expected = (surprise(10) + surprise(-7)) / 2
    assert misfit(ramp, inputs.coords, inputs.labels, SIDE) == pytest.approx(expected)


def test_a_softer_mask_fits_clicks_as_well_as_one_that_is_sure() -> None:
    inside = np.full((CELLS,) * 3, 4, np.float32)
    inputs = decoder_inputs([[9, 9, 9], [14, 4, 4], [3, 9, 20]], [1, 1, 1], None, None, RULE)
    soft, sure = (misfit(m, inputs.coords, inputs.labels, SIDE) for m in (inside, 8 * inside))
    assert accepts(sure, soft, 0.02)
    missed = decoder_inputs([[9, 9, 9], [14, 4, 4], [3, 9, 20]], [1, 1, 0], None, None, RULE)
    assert not accepts(sure, misfit(inside, missed.coords, missed.labels, SIDE), 0.5)


@given(blocks, places)
@example(np.ones((CELLS,) * 3, np.float32), np.full(3, -0.5))
@example(np.ones((CELLS,) * 3, np.float32), np.full(3, SIDE - 0.5))
def test_click_anywhere_in_the_window_has_a_logit_between_the_mask_s(
    logits: Logits, place: NDArray[np.float64]
) -> None:
    found = misfit(logits, place[None], np.array([1]), SIDE)
    assert -logits.max() - 1e-4 <= found <= -logits.min() + 1e-4
    assert misfit(logits, place[None], np.array([0]), SIDE) == pytest.approx(-found)


@pytest.mark.parametrize("cell", [0, 3, CELLS - 1])
def test_click_at_the_middle_of_a_cell_reads_it(cell: int) -> None:
    logits = np.random.default_rng(1).standard_normal((CELLS,) * 3).astype(np.float32)
    place = np.full((1, 3), CENTRES[cell])
    assert misfit(logits, place, np.array([1]), SIDE) == pytest.approx(-logits[cell, cell, cell])


def test_logits_of_any_size_have_a_finite_misfit() -> None:
    for logit in (-1e4, 1e4):
        logits = np.full((CELLS,) * 3, logit, np.float32)
        assert math.isfinite(misfit(logits, np.full((2, 3), 9.0), np.array([1, 0]), SIDE))


def test_prompt_of_padding_alone_fits() -> None:
    padding = decoder_inputs([], [], None, None, RULE)
    assert misfit(np.ones((CELLS,) * 3, np.float32), padding.coords, padding.labels, SIDE) == 0


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([1, -1], "click"),
        ([[1, -1]], "click"),
        ([1, 0, -1], "clicks"),
        ([2, 3], "box"),
        ([[1, 0, 2, 3]], "box"),
        ([-1], "clicks"),
    ],
)
def test_kind_of_prompt(labels: Any, kind: str) -> None:
    assert prompt_kind(labels) == kind


def test_acceptance() -> None:
    assert accepts(0.1, 0.15, 0.05 + 1e-9)
    assert not accepts(0.1, 0.16, 0.05)
    assert accepts(0.1, 9.0, None)
    assert accepts(math.inf, 0.3, 0.0)
    assert not accepts(math.inf, math.inf, 1.0)


def test_agreement_is_dice() -> None:
    a, b = np.array([1.0, 1, 0, -1], np.float32), np.array([2.0, -1, -1, 3], np.float32)
    assert agreement(a, b) == 0.5
    assert agreement(-abs(a), -abs(b)) == 1.0
    assert agreement(a, -a) == pytest.approx(0)


LO, HI = np.full(3, 8.0), np.full(3, 22.0)
GOOD, BAD = box_mask(LO, HI), box_mask(LO, HI + 6)


def routing(**changes: Any) -> Routing:
    slack = {"box": 0.05, "click": None, "clicks": 1.0}
    return Routing(tau={"box": 0.5, "click": 0.6, "clicks": 0.7}, **{"slack": slack, **changes})


def decided(general: Logits, expert: Logits, s_top: float, **changes: Any) -> Any:
    inputs = decoder_inputs([], [], (LO, HI), None, RULE)
    tau, name = changes.pop("tau", None), changes.pop("name", "")
    return decide(
        general,
        expert,
        s_top,
        prompt_kind(inputs.labels),
        inputs.coords,
        inputs.labels,
        SIDE,
        routing(**changes),
        tau,
        name=name,
    )


def test_score_that_does_not_pass_leaves_the_general_mask() -> None:
    found = decided(BAD, GOOD, 0.5)
    assert (found.fused, found.check, found.agreement) == (False, None, None)
    assert found.logits is BAD
    assert decided(BAD, GOOD, 0.5, tau=0.4).fused


def test_expert_that_fits_is_mixed_in() -> None:
    found = decided(BAD, GOOD, 0.8)
    assert (found.fused, found.check) == (True, "accepted")
    assert found.agreement == pytest.approx(agreement(BAD, GOOD))
    np.testing.assert_array_equal(found.logits, fuse(BAD, GOOD, 0.8, "probability"))
    np.testing.assert_array_equal(
        decided(BAD, GOOD, 0.8, fusion="logit").logits, fuse(BAD, GOOD, 0.8, "logit")
    )


def test_expert_that_fits_worse_is_rejected() -> None:
    found = decided(GOOD, BAD, 0.99)
    assert (found.fused, found.check) == (False, "rejected")
    assert found.logits is GOOD
    assert 0 < found.agreement < 1


def test_an_expert_may_have_a_slack_of_its_own() -> None:
    own = {"soft": {"box": None}, "other": {"clicks": 0.0}, "strict": {"box": -9.0}}
    rules = routing(own_slack=own)
    assert slack_of(rules, "soft", "box") is None
    assert slack_of(rules, "soft", "clicks") == slack_of(rules, "third", "clicks") == 1.0
    assert slack_of(rules, "other", "clicks") == 0.0
    assert decided(GOOD, BAD, 0.99, own_slack=own, name="soft").fused
    assert decided(GOOD, BAD, 0.99, own_slack=own, name="other").check == "rejected"
    assert decided(BAD, GOOD, 0.99, own_slack=own, name="strict").check == "rejected"
    assert decided(BAD, GOOD, 0.99, own_slack=own).fused


def test_without_a_slack_nothing_is_checked() -> None:
    found = decided(GOOD, BAD, 0.99, slack={"box": None, "click": 0.0, "clicks": 0.0})
    assert (found.fused, found.check) == (True, None)
    assert found.agreement is not None
