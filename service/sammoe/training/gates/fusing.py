"""The selector's weighted sum with gradients: :func:`sammoe.engine.selector.fuse` in torch."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

_TINY = 1e-6  # a share of exactly 0 or 1 has no gradient


def fuse(
    general: Tensor, expert: Tensor, share: Tensor, fusion: Literal["probability", "logit"]
) -> Tensor:
    """``(1 - share) general + share expert`` as logits [B, L, L, L]; ``share`` [B] in [0, 1]."""
    weight = share.clamp(_TINY, 1 - _TINY).reshape(-1, 1, 1, 1)
    if fusion == "logit":
        return (1 - weight) * general + weight * expert
    # log of the mixture's odds; log-sigmoids keep it finite where a sigmoid rounds to 0 or 1.
    inside = _mixture(F.logsigmoid(general), F.logsigmoid(expert), weight)
    outside = _mixture(F.logsigmoid(-general), F.logsigmoid(-expert), weight)
    return inside - outside


def _mixture(log_a: Tensor, log_b: Tensor, share: Tensor) -> Tensor:
    """log((1 - share) exp(log_a) + share exp(log_b))."""
    return torch.logaddexp(torch.log1p(-share) + log_a, torch.log(share) + log_b)
