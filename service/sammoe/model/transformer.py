"""SAM's two-way transformer: tokens attend to the image, the image attends back."""

import torch
from torch import Tensor, nn

from sammoe.model.config import SamMed3DConfig
from sammoe.model.layers import MlpBlock


class CrossAttention(nn.Module):
    """Multi-head attention with separate projections; ``inner`` may be narrower than ``dim``.

    Between a few tokens and a whole image the projections of the image cost most. By associativity
    they can be applied to the few instead: ``q . (Wk x) = (Wk' q) . x``, and alike for the values
    and the output. Same numbers; a third of the operations for ten tokens on 8^3 cells.
    """

    def __init__(self, dim: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.head_dim = inner // heads
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

    def ask_image(self, tokens: Tensor, keys: Tensor, image: Tensor) -> Tensor:
        """Few queries: tokens [B, n, dim] on keys and values [B, m, dim] -> [B, n, dim]."""
        b, n, dim = tokens.shape
        query = self._split(self.q_proj(tokens)) * self.head_dim**-0.5
        asked = (query @ self._per_head(self.k_proj)).reshape(b, self.heads * n, dim)
        # The keys' bias adds the same to every logit of a query: the softmax does not see it.
        weights = torch.softmax(asked @ keys.transpose(-1, -2), dim=-1)
        seen = (weights @ image).reshape(b, self.heads, n, dim)
        value = seen @ self._per_head(self.v_proj).transpose(-1, -2)
        joined = value.transpose(1, 2).reshape(b, n, -1) + self.v_proj.bias
        out: Tensor = self.out_proj(joined)
        return out

    def tell_image(self, keys: Tensor, positioned: Tensor, tokens: Tensor) -> Tensor:
        """Few keys: image [B, m, dim] asks tokens (with and without position) -> [B, m, dim]."""
        b, n, dim = tokens.shape
        m = keys.shape[1]
        key = self._split(self.k_proj(positioned)) * self.head_dim**-0.5
        wanted = (key @ self._per_head(self.q_proj)).reshape(b, self.heads * n, dim)
        bias = self.q_proj.bias.reshape(self.heads, 1, self.head_dim)
        offset = (key * bias).sum(-1).reshape(b, 1, self.heads * n)
        logits = keys @ wanted.transpose(-1, -2) + offset
        weights = torch.softmax(logits.reshape(b, m, self.heads, n), dim=-1)
        out_weight = self.out_proj.weight.reshape(dim, self.heads, self.head_dim)
        value = self._split(self.v_proj(tokens)) @ out_weight.permute(1, 2, 0)
        told = weights.reshape(b, m, self.heads * n) @ value.reshape(b, self.heads * n, dim)
        return told + self.out_proj.bias

    def _per_head(self, layer: nn.Linear) -> Tensor:
        """A projection's weight [inner, dim] -> [heads, head_dim, dim]."""
        return layer.weight.reshape(self.heads, self.head_dim, -1)

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
        tokens = self.norm2(
            tokens + self.cross_attn_token_to_image.ask_image(tokens + token_pe, keys, image)
        )
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(
            image + self.cross_attn_image_to_token.tell_image(keys, tokens + token_pe, tokens)
        )
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
        """image [B, g^3, C], image_pe [1, g^3, C], tokens [B, N, C] -> (tokens, image)."""
        token_pe = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_pe, image_pe)
        attended = self.final_attn_token_to_image.ask_image(
            tokens + token_pe, image + image_pe, image
        )
        return self.norm_final_attn(tokens + attended), image
