"""SAM-Med3D's image encoder: a 3D ViT, and for our own small models a detail path beside it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sammoe.model.attention import RelPosAttention
from sammoe.model.config import SamMed3DConfig
from sammoe.model.detail import DetailStem
from sammoe.model.layers import LayerNorm3d, MlpBlock


class PatchEmbed(nn.Module):
    """Non-overlapping patches: [B, 1, S, S, S] -> [B, g, g, g, embed_dim]."""

    def __init__(self, config: SamMed3DConfig) -> None:
        super().__init__()
        self.grid, self.patch = config.grid, config.patch_size
        self.proj = nn.Conv3d(1, config.embed_dim, self.patch, stride=self.patch)

    def forward(self, image: Tensor) -> Tensor:
        """A convolution whose kernel is its stride is one matrix product over patches."""
        g, p = self.grid, self.patch
        cubes = image.reshape(-1, g, p, g, p, g, p).permute(0, 1, 3, 5, 2, 4, 6)
        patches = cubes.reshape(-1, g, g, g, p**3)
        return F.linear(patches, self.proj.weight.flatten(1), self.proj.bias)


class EncoderBlock(nn.Module):
    """Pre-norm block: attention (windowed or global), then MLP; LayerNorm eps 1e-6."""

    def __init__(self, config: SamMed3DConfig, *, windowed: bool) -> None:
        super().__init__()
        dim = config.embed_dim
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.window = config.window_size if windowed else config.grid
        self.attn = RelPosAttention(dim, config.num_heads, self.window)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MlpBlock(dim, dim * config.mlp_ratio, nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        """[B, g, g, g, dim] -> the same shape."""
        y = self.norm1(x)
        x = x + (self.attn(y) if self.window >= x.shape[1] else self._attend_in_windows(y))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out

    def _attend_in_windows(self, x: Tensor) -> Tensor:
        """Several windows of side n: pad with zeros at the far ends, split, attend, join, cut."""
        b, g, dim, n = x.shape[0], x.shape[1], x.shape[4], self.window
        pad = -g % n
        x = F.pad(x, (0, 0, 0, pad, 0, pad, 0, pad))
        k = (g + pad) // n
        cubes = x.reshape(b, k, n, k, n, k, n, dim).permute(0, 1, 3, 5, 2, 4, 6, 7)
        cubes = self.attn(cubes.reshape(b * k**3, n, n, n, dim))
        joined: Tensor = cubes.reshape(b, k, k, k, n, n, n, dim).permute(0, 1, 4, 2, 5, 3, 6, 7)
        return joined.reshape(b, k * n, k * n, k * n, dim)[:, :g, :g, :g]


class ImageEncoder(nn.Module):
    """[B, 1, S, S, S] (z-normalised) -> image embedding [B, E, g, g, g].

    E is ``prompt_dim`` for official models. With a detail path the first ``prompt_dim`` channels
    are the same thing, and 64 e more hold the detail features folded from the low-res side 4 g.
    """

    def __init__(self, config: SamMed3DConfig) -> None:
        super().__init__()
        g, dim, out = config.grid, config.embed_dim, config.prompt_dim
        self.patch_embed = PatchEmbed(config)
        self.pos_embed = nn.Parameter(torch.zeros(1, g, g, g, dim))
        self.blocks = nn.ModuleList(
            EncoderBlock(config, windowed=i not in config.global_blocks)
            for i in range(config.depth)
        )
        self.neck = nn.Sequential(
            nn.Conv3d(dim, out, 1, bias=False),
            LayerNorm3d(out),
            nn.Conv3d(out, out, 3, padding=1, bias=False),
            LayerNorm3d(out),
        )
        self.detail = DetailStem(config) if config.detail_channels else None

    def forward(self, image: Tensor) -> Tensor:
        """Image [B, 1, S, S, S] float32 -> embedding [B, E, g, g, g]."""
        x = self.patch_embed(image) + self.pos_embed
        detail = None
        if self.detail is not None:
            tokens, detail = self.detail(image)
            x = x + tokens
        for block in self.blocks:
            x = block(x)
        embedding: Tensor = self.neck(x.permute(0, 4, 1, 2, 3))
        return embedding if detail is None else torch.cat([embedding, detail], dim=1)
