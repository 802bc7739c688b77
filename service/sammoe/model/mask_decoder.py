"""SAM-Med3D's mask decoder, computed in token layout.

Upscaling convolves with kernel = stride, so each token grows into its own 2 x 2 x 2 children: a
matrix product per token. Everything stays [B, tokens, channels] until the dot product with the
hypernetworks' output, and only scalars are put into place at the end.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sammoe.model.config import SamMed3DConfig
from sammoe.model.detail import DetailHead
from sammoe.model.layers import LayerNorm3d, ReluMlp, unfold
from sammoe.model.transformer import TwoWayTransformer

MASK_TOKENS = 4  # token 0: the single mask; 1..3: multimask (never trained by the public recipe)


class DecoderState(NamedTuple):
    """What the transformer leaves: ``tokens`` [B, 5 + N, C] (IoU, 4 masks, prompt) and
    ``image_tokens`` [B, g^3, C]."""

    tokens: Tensor
    image_tokens: Tensor


class MaskDecoder(nn.Module):
    """Image embedding and prompt embeddings -> low-res mask logits, side 4 g."""

    def __init__(self, config: SamMed3DConfig) -> None:
        super().__init__()
        dim = config.prompt_dim
        self.config = config
        self.transformer = TwoWayTransformer(config)
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(MASK_TOKENS, dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose3d(dim, dim // 4, 2, stride=2),
            LayerNorm3d(dim // 4),
            nn.GELU(),
            nn.ConvTranspose3d(dim // 4, dim // 8, 2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            ReluMlp((dim, dim, dim, dim // 8)) for _ in range(MASK_TOKENS)
        )
        hidden = config.iou_hidden
        self.iou_prediction_head = ReluMlp((dim, hidden, hidden, MASK_TOKENS))
        self.detail = DetailHead(config) if config.detail_channels else None

    def forward(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """The official call.

        Parameters
        ----------
        image_embeddings
            [B or 1, E, g, g, g]; repeated when there are more prompts than images.
        image_pe
            [1, C, g, g, g].
        sparse_prompt_embeddings, dense_prompt_embeddings
            [B, N, C] and [B, C', g, g, g].
        multimask_output
            False: mask token 0, the only one that is trained. True: tokens 1..3.

        Returns
        -------
        tuple
            Low-res logits [B, 1 or 3, 4g, 4g, 4g] and IoU predictions [B, 1 or 3] (untrained in
            the public recipe: not to be relied on).
        """
        state = self.decode_tokens(
            image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings
        )
        chosen = slice(1, MASK_TOKENS) if multimask_output else slice(0, 1)
        logits = self.paint(state, image_embeddings, dense_prompt_embeddings, chosen)
        iou = self.iou_prediction_head(state.tokens[:, 0])[:, chosen]
        return logits, iou

    def decode_tokens(
        self, image_embeddings: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor
    ) -> DecoderState:
        """The two-way transformer on output tokens, prompt tokens and image tokens."""
        c = self.config.prompt_dim
        batch = sparse.shape[0]
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight], dim=0)
        tokens = torch.cat([own.expand(batch, -1, -1), sparse], dim=1)
        if self.detail is not None:
            image_embeddings, dense = image_embeddings[:, :c], dense[:, :c]
        source = _per_prompt(image_embeddings, batch) + dense
        image = source.flatten(2).transpose(1, 2)
        position = image_pe.flatten(2).transpose(1, 2)
        return DecoderState(*self.transformer(image, position, tokens))

    def paint(
        self, state: DecoderState, image_embeddings: Tensor, dense: Tensor, chosen: slice
    ) -> Tensor:
        """Hypernetwork weights of the ``chosen`` mask tokens times upscaled image tokens."""
        tokens = state.tokens[:, 1 : 1 + MASK_TOKENS]
        indices = range(*chosen.indices(MASK_TOKENS))
        hyper = torch.stack(
            [self.output_hypernetworks_mlps[i](tokens[:, i]) for i in indices], dim=1
        )
        grown = self._upscale(state.image_tokens)  # [B, g^3 * 8 * 8, C / 8]
        coarse = self._place(grown @ hyper.transpose(1, 2))
        if self.detail is None:
            return coarse
        c, batch = self.config.prompt_dim, dense.shape[0]
        detail = _per_prompt(unfold(image_embeddings[:, c:], 4), batch)
        maps = unfold(dense[:, c:], 4)
        sharpened: Tensor = self.detail(
            coarse, detail, maps, (tokens[:, chosen], state.image_tokens)
        )
        return sharpened

    def _upscale(self, tokens: Tensor) -> Tensor:
        """[B, g^3, C] -> [B, g^3 * 64, C / 8]: children of a token stand together."""
        first, norm, _, second, _ = self.output_upscaling
        assert isinstance(first, nn.ConvTranspose3d)
        assert isinstance(norm, LayerNorm3d)
        assert isinstance(second, nn.ConvTranspose3d)
        width = self.config.prompt_dim // 4
        x = _grow(tokens, first).reshape(tokens.shape[0], -1, width)
        x = F.gelu(F.layer_norm(x, (width,), norm.weight, norm.bias, norm.eps))
        return F.gelu(_grow(x, second)).reshape(tokens.shape[0], -1, width // 2)

    def _place(self, values: Tensor) -> Tensor:
        """[B, g^3 * 8 * 8, m] -> [B, m, 4g, 4g, 4g].

        First each token's 4^3 cells, then all of them: TensorRT takes no more than 8 axes.
        """
        b, g, m = values.shape[0], self.config.grid, values.shape[-1]
        cells = values.reshape(b * g**3, 2, 2, 2, 2, 2, 2, m).permute(0, 1, 4, 2, 5, 3, 6, 7)
        grid = cells.reshape(b, g, g, g, 4, 4, 4, m).permute(0, 7, 1, 4, 2, 5, 3, 6)
        return grid.reshape(b, m, 4 * g, 4 * g, 4 * g)


def _grow(tokens: Tensor, layer: nn.ConvTranspose3d) -> Tensor:
    """A transposed convolution with kernel = stride = 2, per token: [B, n, a] -> [B, n, 8 b]."""
    weight = layer.weight.permute(0, 2, 3, 4, 1).flatten(1)
    assert layer.bias is not None
    return tokens @ weight + layer.bias.repeat(8)


def _per_prompt(images: Tensor, batch: int) -> Tensor:
    """Repeat each image for its share of the prompts."""
    return images if len(images) == batch else images.repeat_interleave(batch // len(images), 0)
