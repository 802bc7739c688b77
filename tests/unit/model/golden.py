"""Golden vectors: inputs and outputs of the official networks with seeded weights."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sammoe.model import SamMed3DConfig

FOLDER = Path(__file__).parents[2] / "data" / "golden"


def arrays(name: str) -> dict[str, Tensor]:
    """The arrays of an .npz; fp16 ones are exact and become float32."""
    with np.load(FOLDER / name) as file:
        tensors = {key: torch.from_numpy(file[key]) for key in file.files}
    return {key: t.float() if t.dtype == torch.float16 else t for key, t in tensors.items()}


def arguments() -> dict[str, Any]:
    """Constructor arguments of the tiny variants, and the prompt cases."""
    content: dict[str, Any] = json.loads((FOLDER / "tiny_args.json").read_text())
    return content


def config(variant: str, *, box_embeddings: bool = False) -> SamMed3DConfig:
    """A tiny variant's official arguments as a config."""
    given = arguments()[variant]
    encoder, decoder = given["image_encoder"], given["mask_decoder"]
    return SamMed3DConfig(
        image_size=encoder["img_size"],
        patch_size=encoder["patch_size"],
        embed_dim=encoder["embed_dim"],
        depth=encoder["depth"],
        num_heads=encoder["num_heads"],
        mlp_ratio=encoder["mlp_ratio"],
        window_size=encoder["window_size"],
        global_blocks=tuple(encoder["global_attn_indexes"]),
        prompt_dim=encoder["out_chans"],
        mask_channels=given["prompt_encoder"]["mask_in_chans"],
        iou_hidden=decoder["iou_head_hidden_dim"],
        box_embeddings=box_embeddings,
    )


def part(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The keys of one part, without its name."""
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
