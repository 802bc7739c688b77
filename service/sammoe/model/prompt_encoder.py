"""SAM-Med3D's prompt encoder: points, boxes and a prior mask become tokens and a dense field."""

import math

import torch
from torch import Tensor, nn

from sammoe.model.config import SamMed3DConfig
from sammoe.model.detail import prompt_maps
from sammoe.model.layers import LayerNorm3d, fold

POSITIVE, NEGATIVE, PADDING, BOX_FIRST, BOX_LAST = 1, 0, -1, 2, 3


class PositionEmbedding(nn.Module):
    """Random Fourier features; the sine stands twice, as in the official weights."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, dim: int, scale: float) -> None:
        super().__init__()
        matrix = scale * torch.randn(3, dim // 3)
        self.register_buffer("positional_encoding_gaussian_matrix", matrix)

    def forward(self, coords: Tensor) -> Tensor:
        """Coordinates in [0, 1], [..., 3] -> [..., dim]."""
        angle = 2 * math.pi * ((2 * coords - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([torch.sin(angle), torch.cos(angle), torch.sin(angle)], dim=-1)


class PromptEncoder(nn.Module):
    """Prompts -> (sparse [B, N, C], dense [B, C, g, g, g]).

    With a detail path ``dense`` has 64 x 4 more channels: prompt maps folded from the low-res side.
    """

    def __init__(self, config: SamMed3DConfig) -> None:
        super().__init__()
        dim, hidden = config.prompt_dim, config.mask_channels
        self.config = config
        self.pe_layer = PositionEmbedding(dim, config.fourier_scale)
        count = 4 if config.box_embeddings else 2
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, dim) for _ in range(count))
        self.not_a_point_embed = nn.Embedding(1, dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv3d(1, hidden // 4, 2, stride=2),
            LayerNorm3d(hidden // 4),
            nn.GELU(),
            nn.Conv3d(hidden // 4, hidden, 2, stride=2),
            LayerNorm3d(hidden),
            nn.GELU(),
            nn.Conv3d(hidden, dim, 1),
        )
        self.no_mask_embed = nn.Embedding(1, dim)

    def get_dense_pe(self) -> Tensor:
        """Position of every grid cell: [1, C, g, g, g].

        Official weights were trained with axes 0 and 1 swapped against the points' encoding: cell
        (i, j, k) has coordinates ((j + .5) / g, (i + .5) / g, (k + .5) / g).
        """
        g = self.config.grid
        matrix = self.pe_layer.positional_encoding_gaussian_matrix
        steps = (torch.arange(g, dtype=matrix.dtype, device=matrix.device) + 0.5) / g
        i, j, k = torch.meshgrid(steps, steps, steps, indexing="ij")
        encoding: Tensor = self.pe_layer(torch.stack([j, i, k], dim=-1))
        return encoding.permute(3, 0, 1, 2)[None]

    def forward(
        self,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """The official call.

        Parameters
        ----------
        points
            (coords [B, N, 3] in voxels of the window, labels [B, N]: 1, 0 or -1) or None.
        boxes
            [B, 6] first and last corner in voxels, or None. Without it one padding token is
            appended to the points.
        masks
            [B, 1, 4g, 4g, 4g] prior logits, or None (checkpoints are trained with zeros instead).
        """
        parts: list[tuple[Tensor, Tensor]] = []
        if points is not None:
            coords, labels = points
            parts.append((coords, labels))
            if boxes is None:
                padding = torch.full_like(labels[:, :1], PADDING)
                parts.append((torch.zeros_like(coords[:, :1]), padding))
        if boxes is not None:
            corners = boxes.reshape(-1, 2, 3)
            kinds = torch.tensor([BOX_FIRST, BOX_LAST], device=boxes.device)
            parts.append((corners, kinds.expand(len(corners), 2)))
        if not parts:
            batch = 1 if masks is None else len(masks)
            weight = self.no_mask_embed.weight
            empty = weight.new_zeros(batch, 0, 3)
            parts.append((empty, torch.zeros(batch, 0, dtype=torch.long, device=weight.device)))
        coords = torch.cat([part[0] for part in parts], dim=1)
        labels = torch.cat([part[1] for part in parts], dim=1)
        return self.embed_prompt(coords, labels, masks)

    def embed_prompt(
        self, coords: Tensor, labels: Tensor, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Labelled tokens as the decoders' graphs take them; padding is the caller's.

        ``coords`` [B, N, 3] voxels, ``labels`` [B, N] in {1, 0, -1, 2, 3}, ``masks`` [B, 1, 4g, 4g,
        4g] or None. Written without branches on values, so that it exports.
        """
        position = self.pe_layer((coords + 0.5) / self.config.image_size)
        is_point = (labels != PADDING).to(position.dtype)[..., None]
        sparse = position * is_point + self.not_a_point_embed.weight * (1 - is_point)
        for label, embedding in enumerate(self.point_embeddings):  # 0, 1, and 2, 3 with boxes
            assert isinstance(embedding, nn.Embedding)
            sparse = sparse + embedding.weight * (labels == label).to(position.dtype)[..., None]
        return sparse, self._dense(coords, labels, masks)

    def _dense(self, coords: Tensor, labels: Tensor, masks: Tensor | None) -> Tensor:
        config = self.config
        if masks is None:
            shape = (len(coords), config.prompt_dim, config.grid, config.grid, config.grid)
            dense = self.no_mask_embed.weight.reshape(1, -1, 1, 1, 1).expand(shape)
        else:
            dense = self.mask_downscaling(masks)
        if not config.detail_channels:
            return dense
        if masks is None:
            masks = coords.new_zeros(len(coords), 1, config.cells, config.cells, config.cells)
        maps = prompt_maps(coords, labels, masks, config.image_size)
        return torch.cat([dense, fold(maps, 4)], dim=1)
