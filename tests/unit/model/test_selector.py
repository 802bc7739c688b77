from typing import Literal

import pytest
import torch

from sammoe.model.selector import Selector

Fusion = Literal["probability", "logit"]


def masks(batch: int, experts: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(batch)
    return torch.randn(batch, 1, 4, 4, 4) * 5, torch.randn(batch, experts, 4, 4, 4) * 5


def test_probabilities_are_mixed_as_the_paper_says() -> None:
    general, experts = masks(1, 3)
    scores = torch.tensor([[0.1, 0.7, 0.2]])

    found = Selector(0.5, "probability")(general, experts, scores)

    expected = 0.3 * general.sigmoid() + 0.7 * experts[:, 1:2].sigmoid()
    torch.testing.assert_close(found.logits.sigmoid(), expected)
    assert (found.top.item(), found.fused.item()) == (1, True)
    assert found.s_top.item() == pytest.approx(0.7)


def test_logits_are_mixed_on_request() -> None:
    general, experts = masks(1, 2)

    found = Selector(0.5, "logit")(general, experts, torch.tensor([[0.75, 0.25]]))

    torch.testing.assert_close(found.logits, 0.25 * general + 0.75 * experts[:, :1])


@pytest.mark.parametrize("fusion", ["probability", "logit"])
def test_below_and_at_tau_the_general_mask_is_untouched(fusion: Fusion) -> None:
    general, experts = masks(3, 2)
    scores = torch.tensor([[0.5, 0.1], [0.4, 0.49], [0.51, 0.0]])

    found = Selector(0.5, fusion)(general, experts, scores)

    assert found.fused.tolist() == [False, False, True]
    assert torch.equal(found.logits[:2], general[:2])
    assert not torch.equal(found.logits[2], general[2])


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("fusion", ["probability", "logit"])
def test_a_whole_share_returns_one_mask_and_stays_finite(fusion: Fusion, share: float) -> None:
    general = torch.tensor([-200.0, -20.0, 0.0, 20.0, 200.0])
    expert = general.flip(0)

    found = Selector(0.5, fusion).fuse(general, expert, torch.tensor(share))

    torch.testing.assert_close(found, expert if share else general, atol=1e-4, rtol=1e-5)


def test_gradients_reach_both_masks_and_the_score() -> None:
    general, experts = (mask.requires_grad_() for mask in masks(1, 2))
    scores = torch.tensor([[0.8, 0.1]], requires_grad=True)

    found = Selector(0.5, "probability")(general, experts, scores)
    found.logits.sum().backward()

    for tensor in (general, experts, scores):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
        assert tensor.grad.abs().sum() > 0
