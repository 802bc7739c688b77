"""What a per-expert head sees of a prompt: tokens of the general decoder, side by side."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sammoe.model.config import SamMed3DConfig
from sammoe.model.mask_decoder import MASK_TOKENS, DecoderState
from sammoe.model.prompt_encoder import NEGATIVE

TOKENS = 12
"""How many tokens of the decoder's width C make up the features: F = 12 C. Bundles of before have
the first 5 of them."""

_SMALLEST_WEIGHT = 1e-6  # an empty mask pools over all of the image instead of dividing by 0
_NEAR_CELLS, _AROUND_CELLS = 0.8, 2.0  # standard deviations, in grid cells
_ANYWHERE = 0.01  # of each cell beside a prompt: at the window's edge there may be none on a side


def gate_features(
    state: DecoderState, logits: Tensor, coords: Tensor, labels: Tensor, config: SamMed3DConfig
) -> Tensor:
    """Mask token 0, IoU token, mean prompt token; image tokens: all, in the mask, at the prompt,
    and on each of its six sides.

    What lies before and behind a click tells two parts of one organ apart, which look alike.

    Parameters
    ----------
    state
        Of :meth:`sammoe.model.mask_decoder.MaskDecoder.decode_tokens`, with N >= 1 prompt tokens.
    logits
        The general decoder's low-res logits [B, 1, 4g, 4g, 4g]. Their sigmoid, averaged over the
        4^3 low-res voxels of each grid cell, weights the image tokens of the fifth part.
    coords, labels
        [B, N, 3] window voxels and [B, N]: the prompt is at the mean of its positive clicks and its
        box's corners; of its negative clicks where there is nothing else.
    config
        Of the networks.

    Returns
    -------
    Tensor
        [B, 12 C] float32, in the order above; the sides are those of higher and lower index, axis
        by axis.
    """
    tokens, image = state
    inside = F.avg_pool3d(torch.sigmoid(logits), 4).flatten(2)  # [B, 1, g^3]
    around = _around(_place(coords, labels), config.image_size, config.grid)
    weighted = torch.cat([inside, around], dim=1).clamp_min(_SMALLEST_WEIGHT)
    shares = torch.cat([torch.ones_like(inside), weighted], dim=1)
    pooled = (shares / shares.sum(-1, keepdim=True)) @ image  # [B, 9, C]
    prompt = tokens[:, 1 + MASK_TOKENS :].mean(1)
    return torch.cat([tokens[:, 1], tokens[:, 0], prompt, pooled.flatten(1)], dim=-1)


def _place(coords: Tensor, labels: Tensor) -> Tensor:
    """Where a prompt is: window voxels [B, 3]."""
    positive, negative = (labels > NEGATIVE).float(), (labels == NEGATIVE).float()
    weights = positive + negative * (positive.sum(1, keepdim=True) == 0).float()
    total = weights.sum(1, keepdim=True).clamp_min(1)
    return (coords * weights[..., None]).sum(1) / total


def _around(place: Tensor, side: int, grid: int) -> Tensor:
    """Weights [B, 7, g^3] of the grid's cells: near a place, and on its six sides."""
    axis = torch.arange(grid, device=place.device, dtype=place.dtype)
    cells = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(1, -1, 3)
    apart = cells - ((place + 0.5) * (grid / side) - 0.5)[:, None]  # [B, g^3, 3]
    square = (apart**2).sum(-1, keepdim=True)
    near = torch.exp(-square / (2 * _NEAR_CELLS**2))
    sides = torch.stack([apart, -apart], dim=-1).clamp_min(0).flatten(2)  # [B, g^3, 6]
    beside = torch.exp(-square / (2 * _AROUND_CELLS**2)) * sides + _ANYWHERE
    return torch.cat([near, beside], dim=-1).transpose(1, 2)
