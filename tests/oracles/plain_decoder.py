"""The oracle: prompt encoder and mask decoder in the plain order of the official code.

The dense position is computed at every call, every attention projects all of its queries, keys and
values, upscaling is done by transposed convolutions over whole feature maps, and all four
hypernetworks run although one mask is asked for.
"""

import torch
from torch import Tensor, nn

from sammoe.model import SamMed3D
from sammoe.model.mask_decoder import MASK_TOKENS
from sammoe.model.transformer import TwoWayBlock, TwoWayTransformer


class PlainDecoder(nn.Module):
    """Inputs of the exported decoder; outputs ``logits`` [B, 1, 4g, 4g, 4g] and ``iou`` [B, 1].

    For networks without a detail path. The parameters are the model's own.
    """

    def __init__(self, model: SamMed3D) -> None:
        super().__init__()
        self.prompt_encoder = model.prompt_encoder
        self.decoder = model.mask_decoder

    def forward(
        self, embedding: Tensor, coords: Tensor, labels: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        decoder, grid = self.decoder, self.decoder.config.grid
        image_pe = self.prompt_encoder.get_dense_pe()
        sparse, dense = self.prompt_encoder.embed_prompt(coords, labels, mask)
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens = torch.cat([own.expand(sparse.shape[0], -1, -1), sparse], dim=1)
        tokens, image = two_way(
            decoder.transformer,
            (embedding.float() + dense).flatten(2).transpose(1, 2),
            image_pe.flatten(2).transpose(1, 2),
            tokens,
        )
        maps = image.transpose(1, 2).reshape(-1, image.shape[2], grid, grid, grid)
        upscaled = decoder.output_upscaling(maps)
        hyper = torch.stack(
            [
                mlp(tokens[:, 1 + i])
                for i, mlp in zip(
                    range(MASK_TOKENS), decoder.output_hypernetworks_mlps, strict=True
                )
            ],
            dim=1,
        )
        masks = (hyper @ upscaled.flatten(2)).reshape(-1, MASK_TOKENS, *upscaled.shape[2:])
        return masks[:, :1], decoder.iou_prediction_head(tokens[:, 0])[:, :1]


def two_way(
    transformer: TwoWayTransformer, image: Tensor, image_pe: Tensor, tokens: Tensor
) -> tuple[Tensor, Tensor]:
    """Image [B, g^3, C], its position, tokens [B, N, C] -> (tokens, image)."""
    token_pe = tokens
    for layer in transformer.layers:
        assert isinstance(layer, TwoWayBlock)
        if layer.first:
            tokens = layer.self_attn(tokens, tokens, tokens)
        else:
            q = tokens + token_pe
            tokens = tokens + layer.self_attn(q, q, tokens)
        tokens = layer.norm1(tokens)
        attended = layer.cross_attn_token_to_image(tokens + token_pe, image + image_pe, image)
        tokens = layer.norm2(tokens + attended)
        tokens = layer.norm3(tokens + layer.mlp(tokens))
        attended = layer.cross_attn_image_to_token(image + image_pe, tokens + token_pe, tokens)
        image = layer.norm4(image + attended)
    attended = transformer.final_attn_token_to_image(tokens + token_pe, image + image_pe, image)
    return transformer.norm_final_attn(tokens + attended), image
