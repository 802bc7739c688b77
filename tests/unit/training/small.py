"""A network and samples small enough to train in a test."""

import numpy as np
import torch

from sammoe.model import SamMed3D, SamMed3DConfig, build_sam_med3d
from sammoe.training.mixture import collate
from sammoe.training.prepared import Prepared
from sammoe.training.sampling import Sample, prompted
from sammoe.volume.window import WindowRule

SIDE, CELLS = 16, 16
CONFIG = SamMed3DConfig(
    image_size=SIDE,
    patch_size=4,
    embed_dim=24,
    depth=1,
    num_heads=2,
    window_size=0,
    global_blocks=(0,),
    prompt_dim=24,
    decoder_heads=2,
    decoder_mlp=32,
    iou_hidden=8,
    box_embeddings=True,
    fourier_scale=0.4,
    detail_channels=2,
)
RULE = WindowRule(
    side=SIDE,
    patch=4,
    spacings=(3.0, 6.0),
    default_spacing={"CT": 3.0, "MR": 3.0, "unknown": 3.0},
    ct_clamp=(-300.0, 500.0),
)


def network(seed: int = 0) -> SamMed3D:
    torch.manual_seed(seed)
    return build_sam_med3d(CONFIG)


class Cubes:
    """Bright cubes on a dark ground: learnt within seconds."""

    def draw(self, rng: np.random.Generator) -> Sample:
        mask = np.zeros((SIDE,) * 3, bool)
        x, y, z = rng.integers(1, 8, 3)
        mask[x : x + 7, y : y + 6, z : z + 5] = True
        image = np.where(mask, 1.5, -0.5) + 0.1 * rng.standard_normal(mask.shape)
        return prompted(image.astype(np.float32), [mask, mask], CELLS, rng)


def windows(model: SamMed3D, count: int, seed: int = 0) -> Prepared:
    """Windows of cubes, every other one for a box; each shows two prompts of one image."""
    rng = np.random.default_rng(seed)
    batch = collate([Cubes().draw(rng) for _ in range(count // 2)])
    with torch.no_grad():
        embeddings = model.image_encoder(batch.image).half().repeat_interleave(2, 0)
    return Prepared(
        embeddings,
        batch.targets.half(),
        batch.clicks[:, None],
        batch.boxes,
        torch.arange(count) % 2 == 1,
        torch.arange(count) // 2,
        tuple(f"cube {i}" for i in range(count // 2)),
    )
