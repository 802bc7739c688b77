"""SAM's two-way transformer: tokens attend to the image, the image attends back."""

import torch
from torch import Tensor, nn

from sammoe.model.config import SamMed3DConfig
from sammoe.model.layers import MlpBlock


class CrossAttention(nn.Module):
    """Multi-head attention with separate projections; ``inner`` may be narrower than ``dim``."""

    def __init__(self, dim: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(dim, inner)
        self.k_proj = nn.Linear(dim, inner)
        self.v_proj = nn.Linear(dim, inner)
        self.out_proj = nn.Linear(inner, dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q [B, Nq, dim], k and v [B, Nk, dim] -> [B, Nq, dim]."""
        query, key, value = (
            self._split(p(x)) for p, x in ((self.q_proj, q), (self.k_proj, k), (self.v_proj, v))
        )
        weights = torch.softmax(query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5, dim=-1)
        joined = (weights @ value).transpose(1, 2).flatten(2)
        out: Tensor = self.out_proj(joined)
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], -1, self.heads, x.shape[2] // self.heads).transpose(1, 2)


class TwoWayBlock(nn.Module):
    """Self-attention, token -> image, MLP, image -> token; each followed by a layer norm."""

    def __init__(self, config: SamMed3DConfig, *, first: bool) -> None:
        super().__init__()
        dim, heads = config.prompt_dim, config.decoder_heads
        self.self_attn = CrossAttention(dim, heads, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attn_token_to_image = CrossAttention(dim, heads, dim // 2)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MlpBlock(dim, config.decoder_mlp, nn.ReLU())
        self.norm3 = nn.LayerNorm(dim)
        self.norm4 = nn.LayerNorm(dim)
        self.cross_attn_image_to_token = CrossAttention(dim, heads, dim // 2)
        self.first = first

    def forward(
        self, tokens: Tensor, image: Tensor, token_pe: Tensor, image_pe: Tensor
    ) -> tuple[Tensor, Tensor]:
        """tokens [B, N, C], image [B, g^3, C] and their positions -> both, updated."""
        if self.first:  # no position and no residual: the tokens are replaced
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            q = tokens + token_pe
            tokens = tokens + self.self_attn(q, q, tokens)
        tokens = self.norm1(tokens)
        keys = image + image_pe
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + token_pe, keys, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.cross_attn_image_to_token(keys, tokens + token_pe, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    """Two blocks and a last token -> image attention; LayerNorm eps 1e-5."""

    def __init__(self, config: SamMed3DConfig) -> None:
        super().__init__()
        dim = config.prompt_dim
        self.layers = nn.ModuleList(TwoWayBlock(config, first=i == 0) for i in range(2))
        self.final_attn_token_to_image = CrossAttention(dim, config.decoder_heads, dim // 2)
        self.norm_final_attn = nn.LayerNorm(dim)

    def forward(self, image: Tensor, image_pe: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """image, image_pe [B, g^3, C], tokens [B, N, C] -> (tokens, image)."""
        token_pe = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_pe, image_pe)
        attended = self.final_attn_token_to_image(tokens + token_pe, image + image_pe, image)
        return self.norm_final_attn(tokens + attended), image
