"""A few steps of the loop that teaches an expert's decoder, by the code that trains."""

from dataclasses import replace

import torch

from loadtests.random_weights import random_network
from sammoe.model import SamMed3DConfig
from sammoe.training.losses import dice_ce
from sammoe.training.mixture import Batch
from sammoe.training.simulation import Simulation, run
from tests.gpu.networks import tf32

CONFIG = replace(
    SamMed3DConfig.small(), image_size=32, depth=1, global_blocks=(0,), detail_channels=2
)
STEPS, PROMPTS = 4, 2


def losses(device: str, clicks: int = 1) -> list[float]:
    """Of each step, on a ball, from clicks, boxes and priors; the same draws on every device.

    With more than one click the next follows from the answer, and a voxel at the rim may fall this
    way here and that way there.
    """
    model = random_network(CONFIG).to(device)
    model.requires_grad_(False)
    decoder = model.mask_decoder.requires_grad_(True)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=1e-3)
    draws = torch.Generator().manual_seed(0)
    g, cells = CONFIG.grid, CONFIG.cells
    axis = torch.arange(cells, dtype=torch.float32) - cells / 2 + 0.5
    far = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt()
    targets = (far < cells / 4).float().expand(PROMPTS, cells, cells, cells)
    middle, low, high = CONFIG.image_size / 2, CONFIG.image_size / 4, CONFIG.image_size * 3 / 4
    embedding = torch.randn(PROMPTS, CONFIG.embedding_channels, g, g, g, generator=draws)
    batch = Batch(
        torch.empty(0),
        targets.to(device),
        torch.full((PROMPTS, 3), middle, device=device),
        torch.tensor([[low] * 3 + [high] * 3], device=device).expand(PROMPTS, 6),
    )
    users = Simulation(clicks=clicks, boxes=0.5, priors=0.5)
    found = []
    with tf32(False):
        for _ in range(STEPS):
            optimiser.zero_grad()
            loss = torch.zeros((), device=device)
            for logits in run(model, embedding.to(device), batch, users, draws):
                loss = loss + dice_ce(logits, batch.targets)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            found.append(float(loss.detach()))
    return found
