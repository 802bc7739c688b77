"""Files of caches: what is damaged costs time, and stops nothing."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sammoe.training.telling import tell


def from_cache(path: Path) -> dict[str, Tensor] | None:
    """The tensors of a cache's file; None where it is to be made: it is not there, or damaged."""
    if not path.is_file():
        return None
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        tell(f"{path} can not be read, and is made again: {error}")
        return None
