"""What takes minutes to make is kept under the digest of all that it is a function of."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from sammoe.training.caches import from_cache
from sammoe.training.frozen import weights_digest
from sammoe.training.gates.bank import PromptBank

_VERSION = 4  # of how prompts are made

Part = str | int | bool | nn.Module | Tensor


def cached(folder: Path, parts: Iterable[Part], make: Callable[[], PromptBank]) -> PromptBank:
    """The bank that was made of equal ``parts`` before, or ``make()``."""
    digest = hashlib.sha256(str(_VERSION).encode())
    for part in parts:
        digest.update(_name(part))
    path = folder / f"prompts-{digest.hexdigest()[:24]}.safetensors"
    known = from_cache(path)
    if known is not None:
        return PromptBank(**known)
    bank = make()
    folder.mkdir(parents=True, exist_ok=True)
    bank.save(path)
    return bank


def _name(part: Part) -> bytes:
    """Bytes that differ for parts that differ."""
    if isinstance(part, nn.Module):
        return weights_digest(part).encode()
    if isinstance(part, Tensor):
        digest = hashlib.sha256(f"{part.dtype}{tuple(part.shape)}".encode())
        digest.update(part.contiguous().view(torch.uint8).numpy().data)
        return digest.digest()
    return f"|{part!r}".encode()
