"""Networks on a device beside the same on the CPU, and what the two are fed. Needs torch alone."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from loadtests.random_weights import random_network
from sammoe.model import SamMed3D, SamMed3DConfig

CPU = torch.device("cpu")

CONFIGS = {
    "demo": replace(SamMed3DConfig.small(), depth=2, global_blocks=(0, 1)),
    "vit_b": replace(SamMed3DConfig.vit_b(), depth=2, global_blocks=(1,)),
}
"""Official and demo size, with one block of each kind: twelve would only repeat them."""


@dataclass(frozen=True)
class Prompt:
    """Inputs of a decoder: embedding [B, E, g, g, g], coords [B, N, 3], labels [B, N] and mask
    [B, 1, 4g, 4g, 4g], as in a bundle's graphs."""

    embedding: Tensor
    coords: Tensor
    labels: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> "Prompt":
        """The same on a device."""
        return Prompt(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


def pair(config: SamMed3DConfig, device: torch.device) -> tuple[SamMed3D, SamMed3D]:
    """Equal networks: on the CPU, and on ``device``."""
    model = random_network(config)
    return model, copy.deepcopy(model).to(device)


def image(config: SamMed3DConfig, batch: int = 1) -> Tensor:
    """Noise [B, 1, S, S, S]."""
    generator = torch.Generator().manual_seed(batch)
    side = config.image_size
    return torch.randn(batch, 1, side, side, side, generator=generator)


def prompt(config: SamMed3DConfig, tokens: int = 2, batch: int = 1, *, box: bool = False) -> Prompt:
    """``tokens`` of them, the last being padding, or with ``box`` the last two its corners."""
    generator = torch.Generator().manual_seed(tokens)
    g, cells = config.grid, config.cells
    coords = torch.rand(batch, tokens, 3, generator=generator) * (config.image_size - 1)
    labels = torch.randint(0, 2, (batch, tokens), generator=generator, dtype=torch.int32)
    if box:
        coords[:, -2:] = coords[:, -2:].sort(dim=1).values
        labels[:, -2:] = torch.tensor([2, 3], dtype=torch.int32)
    else:
        coords[:, -1] = 0
        labels[:, -1] = -1
    embedding = torch.randn(batch, config.embedding_channels, g, g, g, generator=generator)
    mask = 4 * torch.randn(batch, 1, cells, cells, cells, generator=generator)
    return Prompt(embedding.half().float(), coords, labels, mask)


def decode(model: SamMed3D, given: Prompt, position: Tensor | None = None) -> Tensor:
    """Logits [B, 1, 4g, 4g, 4g]; the dense position may be given, since it never changes."""
    encoder, decoder = model.prompt_encoder, model.mask_decoder
    sparse, dense = encoder.embed_prompt(given.coords, given.labels, given.mask)
    pe = encoder.get_dense_pe() if position is None else position
    state = decoder.decode_tokens(given.embedding, pe, sparse, dense)
    return decoder.paint(state, given.embedding, dense, slice(0, 1))


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether the GPU may round float32 products."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def difference(found: Tensor, expected: Tensor) -> float:
    """Largest difference relative to the largest magnitude; infinite where one is not finite."""
    ours, theirs = (each.detach().to(CPU, torch.float64) for each in (found, expected))
    if not (ours.isfinite().all() and theirs.isfinite().all()):
        return float("inf")
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-6))
