"""The paper's selector as arithmetic."""

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from sammoe.engine import LOGIT_LIMIT, clip_logits, fuse, select
from sammoe.engine.selector import NEWS, RIVAL_MARGIN, Rival, misfit, pooled, rival, wins

Logits = NDArray[np.float32]
FUSIONS: tuple[Literal["probability", "logit"], ...] = ("probability", "logit")

logits = hnp.arrays(np.float32, (2, 3), elements=st.floats(-100, 100, width=32))


def test_top_expert_passes_only_above_tau() -> None:
    scores = [0.2, 0.5, 0.4]
    below, at = select(scores, 0.49), select(scores, 0.5)
    assert below is not None
    assert at is not None
    assert (below.index, below.s_top, below.passes) == (1, 0.5, True)
    assert not at.passes


def test_first_of_equal_experts_is_taken() -> None:
    best = select(np.array([0.1, 0.7, 0.7], np.float32), 0.5)
    assert best is not None
    assert best.index == 1


def test_expert_that_is_not_allowed_is_never_picked() -> None:
    best = select([0.9, 0.2, 0.4], 0.5, [False, True, True])
    assert best is not None
    assert (best.index, best.s_top, best.passes) == (2, 0.4, False)
    assert select([0.9, 0.2], 0.5, np.array([False, False])) is None
    assert select([0.0, -0.0], 0.5, [False, True]) is not None


some_scores = hnp.arrays(np.float32, 3, elements=st.floats(0, 1, width=32))


@given(some_scores)
def test_first_prompt_s_scores_are_as_the_gate_says(scores: Logits) -> None:
    assert pooled(scores, ()) is scores


def test_later_scores_are_pooled_as_logits() -> None:
    now, before = np.array([0.9, 0.2, 0.5], np.float32), (0.3, 0.8, 0.5)
    found = pooled(now, before)
    expected = [
        NEWS * np.log(n / (1 - n)) + (1 - NEWS) * np.log(b / (1 - b))
        for n, b in zip(now, before, strict=True)
    ]
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.log(found / (1 - found)), expected, atol=1e-6)


@given(some_scores, some_scores)
def test_pooled_score_lies_between_both(now: Logits, before: Logits) -> None:
    found = pooled(now, before.tolist())
    assert np.isfinite(found).all()
    assert (found >= np.minimum(now, before) - 2e-6).all()
    assert (found <= np.maximum(now, before) + 2e-6).all()


def test_probabilities_are_mixed_as_the_paper_says() -> None:
    general, top = np.array([-2.0, 0.5], np.float32), np.array([3.0, 0.5], np.float32)
    mixed = fuse(general, top, 0.7, "probability")
    expected = 0.3 / (1 + np.exp(-general)) + 0.7 / (1 + np.exp(-top))
    np.testing.assert_allclose(1 / (1 + np.exp(-mixed)), expected, rtol=1e-6)
    assert mixed.dtype == np.float32


def test_logits_are_mixed_linearly() -> None:
    general, top = np.array([-2.0, 4.0], np.float32), np.array([3.0, 1.0], np.float32)
    np.testing.assert_allclose(fuse(general, top, 0.25, "logit"), [-0.75, 3.25], rtol=1e-6)


@pytest.mark.parametrize("fusion", FUSIONS)
@given(general=logits, top=logits, s_top=st.floats(0, 1))
def test_fused_logit_lies_between_the_clipped_two(
    fusion: Literal["probability", "logit"], general: Logits, top: Logits, s_top: float
) -> None:
    mixed = fuse(general, top, s_top, fusion)
    low, high = clip_logits(np.minimum(general, top)), clip_logits(np.maximum(general, top))
    assert (mixed >= low - 1e-4).all()
    assert (mixed <= high + 1e-4).all()


@pytest.mark.parametrize("fusion", FUSIONS)
@given(general=logits, top=logits)
def test_weight_of_zero_or_one_is_a_choice(
    fusion: Literal["probability", "logit"], general: Logits, top: Logits
) -> None:
    np.testing.assert_allclose(fuse(general, top, 0.0, fusion), clip_logits(general), atol=1e-5)
    np.testing.assert_allclose(fuse(general, top, 1.0, fusion), clip_logits(top), atol=1e-5)


def test_certain_masks_lose_no_precision() -> None:
    sure = np.array([-LOGIT_LIMIT, LOGIT_LIMIT, -20.0, 20.0], np.float32)
    np.testing.assert_allclose(fuse(sure, sure, 0.5, "probability"), sure, rtol=1e-6)


def test_clipping_keeps_what_is_within() -> None:
    values = np.array([-1e9, -3.0, 0.0, 1e9], np.float32)
    np.testing.assert_array_equal(clip_logits(values), [-LOGIT_LIMIT, -3.0, 0.0, LOGIT_LIMIT])


EVERY = [True, True, True]


def second_of(scores: list[float], **changes: Any) -> Rival | None:
    allowed = changes.pop("allowed", EVERY)
    best = select(scores, 0.2, allowed)
    assert best is not None
    return rival(scores, best, allowed, changes.get("kind", "box"))


def test_close_second_is_a_rival_and_needs_more_the_further_it_is_behind() -> None:
    level, behind = second_of([0.1, 0.8, 0.8]), second_of([0.1, 0.8, 0.6])
    assert level == Rival(2, 0.0)
    assert behind is not None
    gap = np.log(0.8 / 0.2) - np.log(0.6 / 0.4)
    assert behind.margin == pytest.approx(gap * RIVAL_MARGIN)
    assert second_of([0.1, 0.9, 0.3]) is None


def test_rival_is_of_those_allowed_and_never_the_best_itself() -> None:
    assert second_of([0.8, 0.8, 0.7], allowed=[True, False, True]) is not None
    assert second_of([0.8, 0.8, 0.7], allowed=[False, True, False]) is None
    assert second_of([1.0, 1.0, 0.0]) == Rival(1, 0.0)


@pytest.mark.parametrize("kind", ["click", "clicks"])
def test_rivals_are_for_boxes(kind: str) -> None:
    assert second_of([0.1, 0.8, 0.7]) is not None
    assert second_of([0.1, 0.8, 0.7], kind=kind) is None


def test_rival_wins_by_its_margin() -> None:
    coords, labels = np.array([[[8, 8, 8], [23, 23, 23]]], np.float32), np.array([[2, 3]])
    cells = np.arange(16)
    fits, larger = (
        np.where((cells >= low) & (cells < 16 - low), 4.0, -4.0).astype(np.float32)
        for low in (4, 2)
    )
    fits, larger = (np.minimum.reduce(np.meshgrid(*[one] * 3)) for one in (fits, larger))
    gap = misfit(larger, coords, labels, 32) - misfit(fits, coords, labels, 32)
    assert gap > 0.1
    assert wins(Rival(1, gap - 0.01), larger, fits, coords, labels, 32)
    assert not wins(Rival(1, gap + 0.01), larger, fits, coords, labels, 32)
    assert not wins(Rival(1, 0.0), fits, larger, coords, labels, 32)
    assert not wins(Rival(1, 0.0), fits, fits, coords, labels, 32)


def test_empty_mask_of_a_rival_never_wins_a_box() -> None:
    coords, labels = np.array([[[4, 4, 4], [20, 20, 20]]], np.float32), np.array([[2, 3]])
    empty, full = (np.full((16, 16, 16), value, np.float32) for value in (-4, 4))
    assert not wins(Rival(1, 0.0), empty, empty, coords, labels, 32)
    assert wins(Rival(1, 0.0), empty, full, coords, labels, 32)
