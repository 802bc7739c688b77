"""Windows of bright cubes, as `prepare` would give them, for tests of gates."""

import numpy as np
import torch

from sammoe.model import SamMed3D
from sammoe.training.mixture import collate
from sammoe.training.prepared import Prepared, RandomWindows
from tests.unit.training.small import Cubes, network


def frozen(seed: int = 0) -> SamMed3D:
    return network(seed).eval().requires_grad_(False)


@torch.no_grad()
def cubes(model: SamMed3D, count: int, seed: int = 0, *, brightness: float = 1.0) -> Prepared:
    """Every other window is a box's. Brighter cubes are another structure."""
    rng = np.random.default_rng(seed)
    batch = collate([Cubes().draw(rng) for _ in range(count)])
    return Prepared(
        model.image_encoder(brightness * batch.image).half(),
        batch.targets[::2].half(),
        torch.stack([batch.clicks[::2], batch.clicks[1::2]], dim=1),
        batch.boxes[::2],
        torch.arange(count) % 2 == 1,
        torch.arange(count),
        tuple(f"case_{number}" for number in range(count)),
    )


@torch.no_grad()
def noise(model: SamMed3D, count: int, seed: int = 0) -> RandomWindows:
    generator = torch.Generator().manual_seed(seed)
    config = model.config
    image = torch.randn(count, 1, *[config.image_size] * 3, generator=generator)
    places = torch.rand(count, 3, 3, generator=generator) * (config.image_size - 1)
    return RandomWindows(
        model.image_encoder(image).half(),
        places,
        torch.cat([places.amin(1), places.amax(1)], dim=1),
        torch.arange(count) % 2 == 1,
        torch.ones(count, *[config.cells] * 3, dtype=torch.bool),
        torch.arange(count),
        tuple(f"case_{number}" for number in range(count)),
        torch.zeros(count, dtype=torch.int64),
        ("noise",),
    )
