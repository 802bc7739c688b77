"""Small layers that several parts share."""

from itertools import pairwise

import torch
from torch import Tensor, nn


class LayerNorm3d(nn.Module):
    """Layer norm over the channels of [B, C, X, Y, Z], biased variance, eps 1e-6."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, X, Y, Z] -> the same shape."""
        mean = x.mean(1, keepdim=True)
        centred = x - mean
        variance = centred.square().mean(1, keepdim=True)
        scale, shift = self.weight[:, None, None, None], self.bias[:, None, None, None]
        return centred / torch.sqrt(variance + self.eps) * scale + shift


class MlpBlock(nn.Module):
    """Two linear layers with an activation between them; width is kept."""

    def __init__(self, dim: int, hidden: int, activation: nn.Module) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden)
        self.lin2 = nn.Linear(hidden, dim)
        self.act = activation

    def forward(self, x: Tensor) -> Tensor:
        """[..., dim] -> [..., dim]."""
        out: Tensor = self.lin2(self.act(self.lin1(x)))
        return out


class ReluMlp(nn.Module):
    """Linear layers with ReLU between them: hypernetworks and the IoU head."""

    def __init__(self, dims: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(dims))

    def forward(self, x: Tensor) -> Tensor:
        """[..., dims[0]] -> [..., dims[-1]]."""
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        out: Tensor = self.layers[-1](x)
        return out


def fold(x: Tensor, factor: int) -> Tensor:
    """Space to depth: [B, e, f g, f g, f g] -> [B, e f^3, g, g, g], channel-major."""
    b, e, side = x.shape[0], x.shape[1], x.shape[2]
    g = side // factor
    x = x.reshape(b, e, g, factor, g, factor, g, factor)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, e * factor**3, g, g, g)


def unfold(x: Tensor, factor: int) -> Tensor:
    """Depth to space, the inverse of :func:`fold`."""
    b, channels, g = x.shape[0], x.shape[1], x.shape[2]
    e = channels // factor**3
    x = x.reshape(b, e, factor, factor, factor, g, g, g)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, e, g * factor, g * factor, g * factor)
