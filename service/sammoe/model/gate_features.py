"""What a per-expert head sees of a prompt: five tokens of the general decoder, side by side."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sammoe.model.mask_decoder import MASK_TOKENS, DecoderState

TOKENS = 5
"""How many tokens of the decoder's width C make up the features: F = 5 C."""

_SMALLEST_WEIGHT = 1e-6  # an empty mask pools over all of the image instead of dividing by 0


def gate_features(state: DecoderState, logits: Tensor) -> Tensor:
    """Mask token 0, IoU token, mean prompt token, mean image token, image tokens in the mask.

    Parameters
    ----------
    state
        Of :meth:`sammoe.model.mask_decoder.MaskDecoder.decode_tokens`, with N >= 1 prompt tokens.
    logits
        The general decoder's low-res logits [B, 1, 4g, 4g, 4g]. Their sigmoid, averaged over the
        4^3 low-res voxels of each grid cell, weights the image tokens of the fifth part.

    Returns
    -------
    Tensor
        [B, 5 C] float32, in the order above.
    """
    tokens, image = state
    inside = F.avg_pool3d(torch.sigmoid(logits), 4).flatten(2)  # [B, 1, g^3]
    shares = torch.cat([torch.ones_like(inside), inside.clamp_min(_SMALLEST_WEIGHT)], dim=1)
    pooled = (shares / shares.sum(-1, keepdim=True)) @ image  # [B, 2, C]
    prompt = tokens[:, 1 + MASK_TOKENS :].mean(1)
    return torch.cat([tokens[:, 1], tokens[:, 0], prompt, pooled.flatten(1)], dim=-1)
