"""Boxes of simulated users, as serving shows them to weights that have no embeddings for boxes."""

import numpy as np
import torch
from torch import Tensor

from sammoe.model.config import SamMed3DConfig
from sammoe.model.prompt_encoder import BOX_FIRST, PADDING, POSITIVE
from sammoe.segmentation.mapped_boxes import box_as_click_and_prior
from sammoe.volume.window import WindowRule


def as_fed(
    coords: Tensor, labels: Tensor, prior: Tensor, config: SamMed3DConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """First prompts as decoders of ``config`` get them.

    Parameters
    ----------
    coords, labels
        Tokens [B, N, 3] in window voxels and [B, N]: clicks and their padding, or, N being 2, some
        of both and some boxes.
    prior
        Logits [B, L, L, L], 0 where there is none.

    Returns
    -------
    Tokens and priors: the same where there are embeddings for boxes; else a box is a click, with
    padding, and, unless there is one, a prior. See `box_as_click_and_prior`.
    """
    boxed = (labels == BOX_FIRST).any(1)
    if config.box_embeddings or not bool(boxed.any()):
        return coords, labels, prior
    rule = WindowRule(
        config.image_size, config.patch_size, (1.0,), dict.fromkeys(("CT", "MR", "unknown"), 1.0)
    )
    coords, prior = coords.clone(), prior.clone()
    for row in boxed.nonzero()[:, 0].tolist():
        first, last = coords[row].double().cpu().numpy()
        click, ellipsoid = box_as_click_and_prior((first, last), rule)
        coords[row] = coords.new_tensor(np.stack([click, np.zeros(3)]))
        if not prior[row].any():
            prior[row] = torch.from_numpy(ellipsoid)
    return coords, labels.new_tensor([POSITIVE, PADDING]).expand_as(labels), prior
