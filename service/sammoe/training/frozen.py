"""What does not learn, proven by its bytes."""

import hashlib

from torch import nn


def weights_digest(module: nn.Module) -> str:
    """SHA-256 (hex) over names, shapes and bytes of all parameters and buffers, as float32."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name}{tuple(value.shape)}".encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().data)
    return digest.hexdigest()
