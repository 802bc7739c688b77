"""The mask selector of the SAM-Med3D-MoE paper (arXiv 2407.04938, section 2.3)."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Selection(NamedTuple):
    """``logits`` [B, 1, L, L, L] of the final mask M_o, ``top`` [B] index of the first-ranked
    expert, ``s_top`` [B] its score, ``fused`` [B] whether its mask was used."""

    logits: Tensor
    top: Tensor
    s_top: Tensor
    fused: Tensor


class Selector(nn.Module):
    """``M_o = (1 - s_top) M_g + s_top M_top`` where ``s_top > tau``, else ``M_g``.

    Parameters
    ----------
    tau
        Threshold on the top score.
    fusion
        What M is, which the paper leaves open: ``"probability"`` mixes sigmoids and returns the
        mixture's logit, ``"logit"`` mixes logits.
    """

    def __init__(self, tau: float, fusion: Literal["probability", "logit"]) -> None:
        super().__init__()
        self.tau = tau
        self.fusion = fusion

    def forward(self, general: Tensor, experts: Tensor, scores: Tensor) -> Selection:
        """Fuse the general mask with the first-ranked expert's.

        Parameters
        ----------
        general
            [B, 1, L, L, L] logits of the general decoder, M_g.
        experts
            [B, m, L, L, L] logits of the experts, in the order of the scores.
        scores
            [B, m] in [0, 1].
        """
        s_top, top = scores.max(dim=1)
        place = top.reshape(-1, 1, 1, 1, 1).expand(-1, 1, *experts.shape[2:])
        mixed = self.fuse(general, experts.gather(1, place), s_top.reshape(-1, 1, 1, 1, 1))
        fused = s_top > self.tau
        return Selection(
            torch.where(fused.reshape(-1, 1, 1, 1, 1), mixed, general), top, s_top, fused
        )

    def fuse(self, general: Tensor, expert: Tensor, share: Tensor) -> Tensor:
        """The weighted sum, as logits; ``share`` in [0, 1] is the expert's."""
        if self.fusion == "logit":
            return (1 - share) * general + share * expert
        # log of the mixture's odds; log-sigmoids keep it finite where a sigmoid rounds to 0 or 1.
        inside = _mixture(F.logsigmoid(general), F.logsigmoid(expert), share)
        outside = _mixture(F.logsigmoid(-general), F.logsigmoid(-expert), share)
        return inside - outside


def _mixture(log_a: Tensor, log_b: Tensor, share: Tensor) -> Tensor:
    """log((1 - share) exp(log_a) + share exp(log_b))."""
    return torch.logaddexp(torch.log1p(-share) + log_a, torch.log(share) + log_b)
