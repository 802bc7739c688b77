import pytest
import torch

from sammoe.training.losses import dice_ce, dice_score


def half_full() -> torch.Tensor:
    target = torch.zeros(2, 8, 8, 8)
    target[:, :4] = 1
    return target


def test_a_perfect_sure_answer_costs_nothing() -> None:
    target = half_full()
    assert float(dice_ce(40 * (target - 0.5), target)) < 1e-4


def test_the_loss_is_dice_with_squared_terms_plus_cross_entropy() -> None:
    target, logits = half_full(), torch.zeros(2, 8, 8, 8)
    p, n = 0.5, 512
    dice = 1 - (2 * p * n / 2 + 1) / (p * p * n + n / 2 + 1)
    expected = dice + torch.log(torch.tensor(2.0))
    assert torch.allclose(dice_ce(logits, target), expected, atol=1e-5)


def test_a_worse_answer_costs_more() -> None:
    target = half_full()
    good, bad = 4 * (target - 0.5), 4 * (target.flip(1) - 0.5)
    assert dice_ce(good, target) < dice_ce(torch.zeros_like(target), target) < dice_ce(bad, target)


def test_score_is_per_prompt_and_one_where_both_are_empty() -> None:
    target = half_full()
    target[1] = 0
    logits = torch.full_like(target, -1.0)
    logits[0, :2] = 1
    assert dice_score(logits, target).tolist() == pytest.approx([2 * 128 / (128 + 256), 1.0])
