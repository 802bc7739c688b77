"""Tensors in files that are there whole or not at all."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor

from sammoe.files import replacing


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write safetensors, by `replacing`; raises as it does."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # Not by save_file, whose errors are of a kind of its own, whatever the reason.
    content = safetensors.torch.save(plain, None if metadata is None else dict(metadata))
    with replacing(path) as stream:
        stream.write(content)
