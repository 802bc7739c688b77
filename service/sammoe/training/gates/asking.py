"""Decoders that compute where they lie, a GPU maybe, for users who live on the CPU."""

import torch
from torch import Tensor

from sammoe.export.graphs import DecoderGraph
from sammoe.model.mask_decoder import MaskDecoder
from sammoe.model.prompt_encoder import PromptEncoder


class Asked:
    """One decoder. Inputs are those of `DecoderGraph`, answers its own, all on the CPU."""

    def __init__(self, encoder: PromptEncoder, decoder: MaskDecoder) -> None:
        self._device = next(decoder.parameters()).device
        self._plain = DecoderGraph(encoder, decoder, features=False)
        self._telling = DecoderGraph(encoder, decoder, features=True)

    @torch.no_grad()
    def logits(self, *inputs: Tensor) -> Tensor:
        """Logits [B, 1, L, L, L]."""
        logits: Tensor = self._plain(*(value.to(self._device) for value in inputs))
        return logits.cpu()

    @torch.no_grad()
    def logits_and_features(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The same and the gate features [B, 12 C]."""
        logits, features = self._telling(*(value.to(self._device) for value in inputs))
        return logits.cpu(), features.cpu()
