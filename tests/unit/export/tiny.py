"""Networks of the smallest size that has every part."""

from dataclasses import replace
from datetime import date

import torch

from sammoe.bundle import Expert, Provenance, WindowSettings
from sammoe.export import Release
from sammoe.model import SamMed3D, SamMed3DConfig, build_sam_med3d

CONFIG = SamMed3DConfig(
    image_size=16,
    patch_size=4,
    embed_dim=24,
    depth=2,
    num_heads=2,
    window_size=6,
    global_blocks=(1,),
    prompt_dim=24,
    mask_channels=8,
    decoder_heads=2,
    decoder_mlp=32,
    iou_hidden=8,
    box_embeddings=True,
    fourier_scale=0.4,
)
"""One padded window (6 > 4), as the official model."""

DETAILED = replace(CONFIG, window_size=0, global_blocks=(0, 1), detail_channels=2)
"""With a detail path, as the demo's model."""

RELEASE = Release(
    name="tiny",
    window=WindowSettings(
        side=16,
        patch=4,
        spacings=(1.5, 3.0),
        default_spacing={"CT": 3.0, "MR": 1.5, "unknown": 1.5},
        antialias=True,
        preprocessing_version=1,
    ),
    provenance=Provenance(
        source="random weights",
        licence="Apache-2.0",
        created=date(2026, 1, 2),
        training_data="none",
        details={"seed": 0},
    ),
)

CORD, LESION = (
    Expert(name=name, label=name, modalities=("CT",), training_data="none", licence="Apache-2.0")
    for name in ("cord", "lesion")
)


def model(config: SamMed3DConfig, seed: int = 0) -> SamMed3D:
    """Random weights, tables and biases included."""
    torch.manual_seed(seed)
    built = build_sam_med3d(config)
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if "rel_pos" in name or "pos_embed" in name or name.endswith("bias"):
                parameter.normal_(0, 0.3)
    return built.eval()
