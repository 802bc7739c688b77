"""Prompts as a gate sees them, many at once."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from sammoe.bundle import PROMPT_KINDS
from sammoe.model.files import save_tensors
from sammoe.model.prompt_encoder import BOX_FIRST, NEGATIVE, POSITIVE

ABSENT = -2
"""Label of a token that is not there: prompts of a bank have different numbers of them."""


@dataclass(frozen=True, eq=False)
class PromptBank:
    """n prompts, in no particular order.

    Attributes
    ----------
    features
        float32 [n, F]: ``gate_features`` of the general decoder.
    coords, labels
        float32 [n, T, 3] window voxels and int64 [n, T], as the decoders get them; ``ABSENT``
        after a prompt's last token.
    window
        int64 [n]: index into the windows that the bank was made from.
    kind
        int64 [n]: index into ``PROMPT_KINDS``.
    prior, general, expert
        float16 [n, L, L, L] logits: what the decoders got as prior, the general decoder's answer
        and the expert's. [0] where they were not asked for.
    """

    features: Tensor
    coords: Tensor
    labels: Tensor
    window: Tensor
    kind: Tensor
    prior: Tensor
    general: Tensor
    expert: Tensor

    def __len__(self) -> int:
        return len(self.features)

    @property
    def tokens(self) -> Tensor:
        """How many tokens each prompt has: int64 [n]."""
        return (self.labels != ABSENT).sum(1)

    def shifted(self, windows: int) -> Self:
        """The same bank for windows that stand ``windows`` further back in a longer list."""
        return replace(self, window=self.window + windows)

    def save(self, path: Path) -> None:
        """Write it; raises as `sammoe.files.replacing` does."""
        save_tensors(path, {field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def join(cls, banks: Sequence["PromptBank"]) -> Self:
        """All prompts of several banks of equal T, one after the other."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: torch.cat([getattr(bank, name) for bank in banks]) for name in names})


def kinds_of(labels: Tensor) -> Tensor:
    """int64 [B] index into ``PROMPT_KINDS`` of prompts with labels [B, N]."""
    clicks = ((labels == POSITIVE) | (labels == NEGATIVE)).sum(1)
    several = torch.where(clicks == 1, PROMPT_KINDS.index("click"), PROMPT_KINDS.index("clicks"))
    return torch.where((labels == BOX_FIRST).any(1), PROMPT_KINDS.index("box"), several)
