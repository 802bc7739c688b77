"""The detail path of our own small models: what a ViT of few, coarse tokens cannot see.

SAM's decoder paints its mask from g^3 tokens alone. With 512 tokens of 8 voxels and minutes of
training in place of weeks that is too coarse, so small models carry image features at the low-res
side 4 g beside the tokens. They travel *inside* the two embeddings, folded into extra channels of
the token grid, so that every interface stays SAM-Med3D's.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sammoe.model.config import SamMed3DConfig
from sammoe.model.layers import ReluMlp, fold

STEM_CHANNELS = 16
WIDE_CHANNELS = 32
GRID_CHANNELS = 64
PROMPT_MAPS = 4  # prior, positive clicks, negative clicks, box
_CLICK_SIGMA = 1.5  # low-res voxels
_BOX_SOFTNESS = 0.5  # low-res voxels
_REGION_WEIGHT = 0.05  # of a voxel of a box or prior, against one of a click
_TINY = 1e-2  # far below the weight of one click


def _conv(cin: int, cout: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(cin, cout, 3, stride=stride, padding=1), nn.GroupNorm(4, cout), nn.GELU()
    )


class DetailStem(nn.Module):
    """Image [B,1,S,S,S] -> (tokens [B,g,g,g,embed_dim], detail [B, 64 e, g, g, g])."""

    def __init__(self, config: SamMed3DConfig) -> None:
        super().__init__()
        cell = config.patch_size // 4
        self.patches = nn.Conv3d(1, STEM_CHANNELS, cell, stride=cell)
        self.fine = nn.Sequential(
            _conv(STEM_CHANNELS, STEM_CHANNELS), _conv(STEM_CHANNELS, STEM_CHANNELS)
        )
        self.wide = nn.Sequential(
            _conv(STEM_CHANNELS, WIDE_CHANNELS, stride=2),
            _conv(WIDE_CHANNELS, WIDE_CHANNELS),
            _conv(WIDE_CHANNELS, WIDE_CHANNELS),
        )
        self.tokens = nn.Linear(WIDE_CHANNELS * 8, config.embed_dim)
        self.carry_fine = nn.Conv3d(STEM_CHANNELS, config.detail_channels, 1)
        self.carry_wide = nn.Conv3d(WIDE_CHANNELS, config.detail_channels, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        fine = self.patches(image)
        fine = fine + self.fine(fine)
        wide = self.wide(fine)
        tokens = self.tokens(fold(wide, 2).permute(0, 2, 3, 4, 1))
        return tokens, fold(self.carry_fine(fine) + _double(self.carry_wide(wide)), 4)


class DetailHead(nn.Module):
    """Sharpens the decoder's coarse mask with image detail and prompt maps.

    It is shown how far the image everywhere differs from the image at the clicks, and answers with
    a U of convolutions, from the low-res side 4 g down to g / 2 and back: it sees the whole window,
    and at the token grid it takes in what the transformer knows. Its features are added up to a
    correction of the coarse logits, with weights that the mask token gives, as a hypernetwork's.
    """

    def __init__(self, config: SamMed3DConfig) -> None:
        super().__init__()
        inputs = 1 + 3 * config.detail_channels + PROMPT_MAPS
        self.enter = nn.Conv3d(inputs, STEM_CHANNELS, 3, padding=1)
        self.wide = nn.Sequential(
            _conv(STEM_CHANNELS, WIDE_CHANNELS, stride=2), _conv(WIDE_CHANNELS, WIDE_CHANNELS)
        )
        self.grid = _conv(WIDE_CHANNELS, GRID_CHANNELS, stride=2)
        self.tokens = nn.Linear(config.prompt_dim, GRID_CHANNELS)
        self.whole = nn.Sequential(
            _conv(GRID_CHANNELS, GRID_CHANNELS, stride=2), _conv(GRID_CHANNELS, GRID_CHANNELS)
        )
        self.gather = _conv(GRID_CHANNELS, GRID_CHANNELS)
        self.grid_to_wide = nn.Conv3d(GRID_CHANNELS, WIDE_CHANNELS, 1)
        self.settle = _conv(WIDE_CHANNELS, WIDE_CHANNELS)
        self.wide_to_fine = nn.Conv3d(WIDE_CHANNELS, STEM_CHANNELS, 1)
        self.leave = nn.Conv3d(STEM_CHANNELS, STEM_CHANNELS, 3, padding=1)
        self.hyper = ReluMlp((config.prompt_dim, config.prompt_dim, STEM_CHANNELS))

    def forward(
        self, coarse: Tensor, detail: Tensor, maps: Tensor, state: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Each of m masks is sharpened by itself.

        Parameters
        ----------
        coarse
            Logits [B, m, L, L, L], L = 4 g.
        detail
            Of the image: [B, e, L, L, L].
        maps
            Of the prompts: [B, 4, L, L, L], see :func:`prompt_maps`.
        state
            Mask tokens [B, m, C] and image tokens [B, g^3, C] after the transformer.
        """
        tokens, image_tokens = state
        side = coarse.shape[-1] // 4
        seen = self.tokens(image_tokens).transpose(1, 2)
        seen = seen.reshape(*seen.shape[:2], side, side, side)
        shown = torch.cat([detail, maps, *_contrasts(detail, maps)], dim=1)
        masks = [
            self._sharpen(coarse[:, i : i + 1], shown, seen, tokens[:, i])
            for i in range(coarse.shape[1])
        ]
        return masks[0] if len(masks) == 1 else torch.cat(masks, dim=1)

    def _sharpen(self, coarse: Tensor, shown: Tensor, seen: Tensor, token: Tensor) -> Tensor:
        fine = torch.relu(self._enter(torch.tanh(coarse / 4), shown))
        wide = self.wide(fine)
        grid = self.grid(wide) + seen
        grid = self.gather(grid + _double(self.whole(grid)))
        wide = wide + _double(self.grid_to_wide(grid))
        wide = wide + self.settle(wide)
        features = torch.relu(self.leave(fine + _double(self.wide_to_fine(wide))))
        weights: Tensor = self.hyper(token)[:, None]  # [B, 1, channels]
        return coarse + (weights @ features.flatten(2)).reshape(coarse.shape)

    def _enter(self, coarse: Tensor, shown: Tensor) -> Tensor:
        """The first convolution, of [B, 1 + n, L, L, L].

        Where a decoder learns behind frozen encoders, a gradient is wanted for the one coarse
        channel alone. Taken apart, the others cost none: a third of a training step.
        """
        if not torch.is_grad_enabled() or shown.requires_grad:
            entered: Tensor = self.enter(torch.cat([coarse, shown], dim=1))
            return entered
        weight, bias = self.enter.weight, self.enter.bias
        of_shown = F.conv3d(shown, weight[:, 1:], bias, padding=1)
        return of_shown + F.conv3d(coarse, weight[:, :1], padding=1)


def _contrasts(detail: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """How far detail [B, e, L, L, L] differs, per channel, from what it is where the prompt says
    inside (clicks first, then box and prior), and where it says outside (negative clicks)."""
    prior, positive, negative, box = torch.split(maps, 1, dim=1)
    inside = positive.square() + _REGION_WEIGHT * (box + torch.relu(prior))
    return _contrast(detail, inside), _contrast(detail, negative.square())


def _contrast(detail: Tensor, weight: Tensor) -> Tensor:
    """|detail - its mean under weight [B, 1, L, L, L]|; 0 where there is no weight at all."""
    flat = weight.flatten(2)
    total = flat.sum(2, keepdim=True)
    mean = detail.flatten(2) @ (flat / (total + _TINY)).transpose(1, 2)  # [B, e, 1]
    present = total / (total + _TINY)
    return (detail - mean[..., None, None]).abs() * present[..., None, None]


def _double(x: Tensor) -> Tensor:
    """[B, c, n, n, n] -> [B, c, 2n, 2n, 2n], nearest.

    ONNX Runtime's own resizing of three axes takes ten times as long.
    """
    for axis in (4, 3, 2):
        x = torch.stack([x, x], axis + 1).flatten(axis, axis + 1)
    return x


def prompt_maps(coords: Tensor, labels: Tensor, mask: Tensor, image_size: int) -> Tensor:
    """Where the prompts are, as images at the low-res side: [B, 4, 4g, 4g, 4g].

    Parameters
    ----------
    coords
        [B, N, 3] voxel coordinates in the window (centre of the first voxel is 0).
    labels
        [B, N]: 1 positive, 0 negative, -1 padding, 2 / 3 first / last corner of a box.
    mask
        [B, 1, 4g, 4g, 4g] prior logits, zeros where nothing is known.
    image_size
        Side S of the window, voxels.
    """
    cells = mask.shape[-1]
    centres = torch.arange(cells, dtype=mask.dtype, device=mask.device)
    places = (coords + 0.5) * (cells / image_size) - 0.5  # low-res voxel coordinates
    offsets = places[..., None] - centres  # [B, N, 3, 4g]
    bumps = torch.exp(-offsets.square() / (2 * _CLICK_SIGMA**2))
    kind = [(labels == label).to(mask.dtype)[..., None] for label in range(4)]
    positive, negative = _outer(bumps, kind[1]), _outer(bumps, kind[0])
    # A corner's own half-space along each axis; their product over both corners is the box.
    above = (torch.sigmoid(-offsets / _BOX_SOFTNESS) * kind[2][..., None]).sum(1, keepdim=True)
    below = (torch.sigmoid(offsets / _BOX_SOFTNESS) * kind[3][..., None]).sum(1, keepdim=True)
    box = _outer(above * below, torch.ones_like(above[:, :, 0, :1]))
    return torch.cat([torch.tanh(mask / 4), positive, negative, box], dim=1)


def _outer(profiles: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum over N of the outer products of [B, N, 3, L] -> [B, 1, L, L, L]."""
    x, y, z = profiles[:, :, 0] * weights, profiles[:, :, 1], profiles[:, :, 2]
    b, n, side = x.shape
    plane = (x[..., :, None] * y[..., None, :]).reshape(b, n, side * side)
    return (plane.transpose(1, 2) @ z).reshape(b, 1, side, side, side)
