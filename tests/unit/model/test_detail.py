import torch

from sammoe.model.detail import PROMPT_MAPS, DetailHead
from tests.unit.training.small import CELLS, CONFIG


def test_the_head_says_the_same_whether_or_not_it_learns() -> None:
    """Its first convolution is taken apart while gradients are wanted of what it made alone."""
    torch.manual_seed(0)
    head = DetailHead(CONFIG).eval()
    coarse = torch.randn(2, 1, CELLS, CELLS, CELLS)
    detail = torch.randn(2, CONFIG.detail_channels, CELLS, CELLS, CELLS)
    maps = torch.rand(2, PROMPT_MAPS, CELLS, CELLS, CELLS)
    state = torch.randn(2, 1, CONFIG.prompt_dim), torch.randn(2, CONFIG.grid**3, CONFIG.prompt_dim)

    learning = coarse.clone().requires_grad_()
    taken_apart = head(learning, detail, maps, state)
    taken_apart.square().sum().backward()
    split_gradients = [p.grad.clone() for p in head.parameters() if p.grad is not None]
    head.zero_grad()
    shown = detail.clone().requires_grad_()
    whole_input = coarse.clone().requires_grad_()
    whole = head(whole_input, shown, maps, state)
    whole.square().sum().backward()

    with torch.no_grad():
        served = head(coarse, detail, maps, state)
    assert torch.equal(whole, served)
    torch.testing.assert_close(taken_apart, served)
    assert learning.grad is not None
    assert whole_input.grad is not None
    torch.testing.assert_close(learning.grad, whole_input.grad, rtol=1e-3, atol=1e-3)
    whole_gradients = [p.grad for p in head.parameters() if p.grad is not None]
    assert len(split_gradients) == len(whole_gradients) == len(list(head.parameters()))
    for split, joined in zip(split_gradients, whole_gradients, strict=True):
        torch.testing.assert_close(split, joined, rtol=1e-3, atol=1e-3)
    assert shown.grad is not None
