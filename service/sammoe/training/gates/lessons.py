"""What a gate of the paper's kind learns from: prompts with the expert that should answer them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from sammoe.training.gates.bank import PromptBank
from sammoe.training.prepared import Prepared


class Lesson(NamedTuple):
    """B prompts of equally many tokens N.

    ``embedding`` [B, E, g, g, g]; ``coords`` [B, N, 3]; ``labels`` [B, N]; ``prior``
    [B, 1, L, L, L]; ``general``, ``expert`` logits and ``targets`` [B, L, L, L], all float32;
    ``choice`` int64 [B]; ``kind`` int64 [B].
    """

    embedding: Tensor
    coords: Tensor
    labels: Tensor
    prior: Tensor
    general: Tensor
    expert: Tensor
    targets: Tensor
    choice: Tensor
    kind: Tensor

    def to(self, device: torch.device) -> "Lesson":
        """The same on a device."""
        return Lesson(*(value.to(device) for value in self))


@dataclass(frozen=True, eq=False)
class Lessons:
    """Banks of prompts with their windows.

    Attributes
    ----------
    embeddings, targets
        Of the windows: float16 [W, E, g, g, g] and [W, L, L, L].
    bank
        With logits; of prompts that are no expert's, ``expert`` is not read.
    choice
        int64 [n]: number of the expert that each prompt asks for; m means none of them.
    none
        m.
    """

    embeddings: Tensor
    targets: Tensor
    bank: PromptBank
    choice: Tensor
    none: int

    @classmethod
    def of(cls, parts: Sequence[tuple[Prepared, PromptBank, int]], experts: int) -> Self:
        """Windows, their prompts, and the number of the expert that all of them ask for."""
        banks, choices, windows = [], [], 0
        for prepared, bank, choice in parts:
            banks.append(bank.shifted(windows))
            choices.append(torch.full((len(bank),), choice))
            windows += len(prepared)
        return cls(
            torch.cat([prepared.embeddings for prepared, _, _ in parts]),
            torch.cat([prepared.targets for prepared, _, _ in parts]),
            PromptBank.join(banks),
            torch.cat(choices),
            experts,
        )

    def draw(self, count: int, generator: torch.Generator, half_of: int | None = None) -> Lesson:
        """Prompts drawn with replacement; all experts alike often, none's as often as all theirs.

        Parameters
        ----------
        half_of
            An expert, of which half of the prompts are.
        """
        often = self.choice.bincount(minlength=self.none + 1)[self.choice]
        weights = torch.where(self.choice == self.none, float(self.none), 1.0) / often
        first = weights if half_of is None else weights * (self.choice == half_of)
        tokens = self.bank.tokens
        at = tokens[torch.multinomial(first, 1, generator=generator)]
        of_all = count if half_of is None else count - count // 2
        rows = _draw(weights * (tokens == at), of_all, generator)
        if half_of is not None:
            rows = torch.cat([rows, _draw(first * (tokens == at), count // 2, generator)])
        return self.take(rows)

    def take(self, rows: Tensor) -> Lesson:
        """Some prompts, int64 [B], which must have equally many tokens."""
        bank, window = self.bank, self.bank.window[rows]
        n = int(bank.tokens[rows[0]])
        return Lesson(
            self.embeddings[window].float(),
            bank.coords[rows, :n],
            bank.labels[rows, :n],
            bank.prior[rows, None].float(),
            bank.general[rows].float(),
            bank.expert[rows].float(),
            self.targets[window].float(),
            self.choice[rows],
            bank.kind[rows],
        )

    def in_order(self, batch: int) -> list[Tensor]:
        """Rows of all prompts, in batches of equally many tokens."""
        tokens, rows = self.bank.tokens, []
        for n in sorted(set(tokens.tolist())):
            chosen = torch.nonzero(tokens == n)[:, 0]
            rows += [chosen[at : at + batch] for at in range(0, len(chosen), batch)]
        return rows


def _draw(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return torch.multinomial(weights, count, replacement=True, generator=generator)
