"""Networks with seeded random weights. Needs torch alone."""

import torch

from sammoe.model import SamMed3D, SamMed3DConfig, build_sam_med3d


def random_network(config: SamMed3DConfig, seed: int = 0) -> SamMed3D:
    """Position tables are random too: zero ones would hide mistakes."""
    torch.manual_seed(seed)
    model = build_sam_med3d(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "rel_pos" in name or "pos_embed" in name:
                parameter.normal_(0, 0.2)
    return model.eval()
