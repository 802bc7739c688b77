from typing import Literal

import numpy as np
import pytest
import torch

from sammoe.engine import selector
from sammoe.training.gates.fusing import fuse

Fusion = Literal["probability", "logit"]


def masks() -> tuple[torch.Tensor, torch.Tensor]:
    drawn = 6 * torch.randn(2, 3, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    return drawn[0], drawn[1]


@pytest.mark.parametrize("fusion", ["probability", "logit"])
def test_training_fuses_as_serving_does(fusion: Fusion) -> None:
    general, expert = masks()
    shares = (0.1, 0.5, 0.95)

    fused = fuse(general, expert, torch.tensor(shares), fusion)

    for number, share in enumerate(shares):
        served = selector.fuse(general[number].numpy(), expert[number].numpy(), share, fusion)
        np.testing.assert_allclose(fused[number].numpy(), served, atol=1e-3)


@pytest.mark.parametrize("fusion", ["probability", "logit"])
def test_gradients_are_finite_even_for_a_gate_that_is_sure(fusion: Fusion) -> None:
    general, expert = masks()
    share = torch.tensor([0.0, 0.5, 1.0], requires_grad=True)

    fuse(32 * general, 32 * expert, share, fusion).sum().backward()  # type: ignore[no-untyped-call]

    assert share.grad is not None
    assert bool(share.grad.isfinite().all())
    assert share.grad[1] != 0
