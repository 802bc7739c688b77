"""Simulated corrective clicks: what a user would click next, given what is shown.

SAM-Med3D draws a click uniformly from the error; careful users click where the error is deepest.
Training mixes both, so that a model serves either kind of user.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def corrective_clicks(
    logits: Tensor, target: Tensor, image_size: int, generator: torch.Generator, deep: float = 0.5
) -> tuple[Tensor, Tensor]:
    """One click per prompt into its error region.

    Parameters
    ----------
    logits, target
        [B, L, L, L] low-res logits shown, and occupancy wanted.
    image_size
        Side S of the window, voxels.
    deep
        Share of clicks placed deep inside the larger error; the others are uniform over the error.

    Returns
    -------
    tuple
        coords [B, 3] float window voxels and labels [B]: 1 where something is missing, 0 where
        something is too much. Without any error, a positive click inside the target.
    """
    b, cells = logits.shape[0], logits.shape[-1]
    wanted = target > 0.5
    error = (logits > 0) != wanted
    settled = ~error.flatten(1).any(1)
    error = torch.where(settled[:, None, None, None], target >= target.amax((1, 2, 3), True), error)
    device = error.device
    noise = torch.rand(error.shape, generator=generator).to(device)
    careful = (torch.rand(b, generator=generator) < deep).to(device)
    depth = torch.maximum(_depth(error & wanted), _depth(error & ~wanted))
    appeal = torch.where(careful[:, None, None, None], depth + 0.05 * noise, noise)
    place = appeal.masked_fill(~error, -1.0).flatten(1).argmax(1)
    cell = torch.stack([place // cells**2, place // cells % cells, place % cells], dim=1)
    jitter = torch.rand(b, 3, generator=generator).to(device)
    coords = (cell + jitter) * (image_size / cells) - 0.5
    positive = wanted.flatten(1).gather(1, place[:, None])[:, 0] | settled
    return coords, positive.long()


def _depth(region: Tensor) -> Tensor:
    """How deep inside its region a cell lies, 0..3: shares of region in growing neighbourhoods."""
    half = F.avg_pool3d(region[:, None].float(), 2)
    depth = sum(F.avg_pool3d(half, k, stride=1, padding=k // 2) for k in (3, 5, 7))
    assert isinstance(depth, Tensor)
    return F.interpolate(depth, scale_factor=2.0, mode="nearest")[:, 0] * region
