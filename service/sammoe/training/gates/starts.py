"""First prompts: a click or a box, as users give them."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sammoe.model.prompt_encoder import BOX_FIRST, BOX_LAST, PADDING, POSITIVE

_EXACT, _JITTERED = 0.5, 0.25  # shares of boxes; the others are loose
_JITTER, _LOOSE = 0.1, 0.2  # of a box's side, per face
_STRETCH, _SHIFT = 1.4, 0.15  # of a box that is not quite meant: factor, and share of its side

Tokens = tuple[Tensor, Tensor]
"""Coordinates float32 [B, N, 3] in window voxels, and labels int64 [B, N]; N is 2 for a click or a
box."""


def first_tokens(
    clicks: Tensor, boxes: Tensor, boxed: Tensor, size: int, generator: torch.Generator
) -> Tokens:
    """A click [B, 3] or, where ``boxed`` [B], a box [B, 6], drawn as users draw it.

    Half of the boxes are exact, a quarter has every face within 10 % of its side, a quarter has
    every face up to 20 % too far out. As in serving a box is cut to the window.
    """
    corners = boxes.reshape(-1, 2, 3)
    sides = (corners[:, 1] - corners[:, 0] + 1)[:, None]
    draw = torch.rand(len(boxes), 1, 1, generator=generator)
    faces = torch.rand(len(boxes), 2, 3, generator=generator)
    outwards = torch.tensor([-1.0, 1.0])[:, None]
    jitter, loose = _JITTER * (2 * faces - 1), _LOOSE * faces * outwards
    shift = torch.where(draw < _EXACT, 0, torch.where(draw < _EXACT + _JITTERED, jitter, loose))
    drawn, drawn_labels = box_tokens(corners + shift * sides, size)
    clicked, clicked_labels = click_tokens(clicks)
    coords = torch.where(boxed[:, None, None], drawn, clicked)
    return coords, torch.where(boxed[:, None], drawn_labels, clicked_labels)


def click_tokens(clicks: Tensor) -> Tokens:
    """Positive clicks [B, 3], each with the padding that goes with a prompt without a box."""
    labels = torch.tensor([POSITIVE, PADDING]).expand(len(clicks), 2)
    return torch.stack([clicks, torch.zeros_like(clicks)], dim=1), labels


def points_tokens(points: Tensor) -> Tokens:
    """Positive points [B, P, 3] given at once, with their padding."""
    count, several, _ = points.shape
    labels = torch.tensor([POSITIVE] * several + [PADDING]).expand(count, several + 1)
    return F.pad(points, (0, 0, 0, 1)), labels


def some_of(places: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """[B, K, 3] -> [B, count, 3], count <= K: each place at most once."""
    order = torch.rand(places.shape[:2], generator=generator).argsort(1)[:, :count]
    return places.gather(1, order[..., None].expand(-1, -1, 3))


def points_inside(masks: Tensor, count: int, size: int, generator: torch.Generator) -> Tensor:
    """Points [B, count, 3] anywhere in masks bool [B, L, L, L], each cell at most once.

    Of a mask with fewer cells, some lie elsewhere.
    """
    cells = masks.shape[-1]
    appeal = torch.rand(masks.shape, generator=generator) + masks
    place = appeal.flatten(1).topk(count, dim=1).indices
    cell = torch.stack([place // cells**2, place // cells % cells, place % cells], dim=2)
    jitter = torch.rand(cell.shape, generator=generator)
    return (cell + jitter) * (size / cells) - 0.5


def box_tokens(boxes: Tensor, size: int) -> Tokens:
    """Boxes [B, 2, 3] or [B, 6], cut to the window."""
    labels = torch.tensor([BOX_FIRST, BOX_LAST]).expand(len(boxes), 2)
    return boxes.reshape(-1, 2, 3).clamp(-0.5, size - 0.5), labels


def stretched(boxes: Tensor, generator: torch.Generator) -> Tensor:
    """Boxes [B, 6] of other sides (to 1.4 times, or a 1.4th), about a shifted middle."""
    corners = boxes.reshape(-1, 2, 3)
    middle, half = corners.mean(1), (corners[:, 1] - corners[:, 0] + 1) / 2
    grown, moved = 2 * torch.rand(2, len(boxes), 3, generator=generator) - 1
    middle = middle + 2 * _SHIFT * moved * half
    half = half * _STRETCH**grown
    return torch.cat([middle - half, middle + half], dim=1)


def box_around(masks: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """First and last window voxel [B, 6] of masks bool [B, L, L, L], and which are empty [B].

    An empty mask's box is the whole window.
    """
    cells = masks.shape[-1]
    voxels = size // cells
    low, high = [], []
    for axis in range(3):
        profile = masks.any(dim=tuple({1, 2, 3} - {axis + 1})).int()
        low.append(profile.argmax(1) * voxels)
        high.append((cells - profile.flip(1).argmax(1)) * voxels - 1)
    return torch.stack(low + high, dim=1).float(), ~masks.flatten(1).any(1)
