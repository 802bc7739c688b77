"""Dice + cross-entropy on low-res logits, as SAM-Med3D trains (paper section 3)."""

import torch
from torch import Tensor
from torch.nn import functional as F

_SMOOTH = 1.0  # low-res voxels: keeps the ratio finite for targets that fill part of one cell


def dice_ce(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over prompts of (1 - soft Dice with squared terms) + binary cross-entropy.

    Parameters
    ----------
    logits
        [B, L, L, L] low-res logits.
    target
        [B, L, L, L] occupancy in [0, 1]: the share of each cell that the structure fills.
    """
    probability = torch.sigmoid(logits)
    axes = (1, 2, 3)
    overlap = (probability * target).sum(axes)
    total = probability.square().sum(axes) + target.square().sum(axes)
    dice = 1 - (2 * overlap + _SMOOTH) / (total + _SMOOTH)
    entropy = F.binary_cross_entropy_with_logits(logits, target)
    return dice.mean() + entropy


def dice_score(logits: Tensor, target: Tensor) -> Tensor:
    """Dice of (logit > 0) against (occupancy > 0.5), per prompt: [B]; 1 where both are empty."""
    predicted, wanted = logits > 0, target > 0.5
    both = (predicted & wanted).sum((1, 2, 3))
    total = predicted.sum((1, 2, 3)) + wanted.sum((1, 2, 3))
    return torch.where(total > 0, 2 * both / total.clamp_min(1), torch.ones_like(both).float())
