"""One expert's head: "is this prompt mine?", learnt from its own data and what is nobody's.

A head is a function of its inputs alone. No other expert and no other expert's data has a part in
it, so that heads can be added one by one, in any order, and are the same.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sammoe.bundle import PROMPT_KINDS, PromptKind, ReferenceFeatures
from sammoe.model.gate import ExpertHeads
from sammoe.training.gates.bank import PromptBank

SOFTENING: Final = tuple(0.02 * n for n in range(1, 51))
"""Factors that are tried on a head's logits."""

USUAL_SOFTENING: Final = 1 / 3
"""Where no calibration patient says which: heads were found to be 2 to 5 times too sure."""


@dataclass(frozen=True)
class HeadRecipe:
    """Everything that a head is a function of, beside its data.

    Parameters
    ----------
    steps, batch
        Optimiser steps, prompts a step; half of them the expert's own.
    lr, weight_decay
        AdamW's; cosine to 0.
    seed
        Of weights and batches.
    """

    steps: int = 4000
    batch: int = 192
    lr: float = 2e-3
    weight_decay: float = 1e-2
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Pool:
    """Prompts of one origin, each stratum of which is drawn equally often.

    Attributes
    ----------
    standard
        float32 [n, F]: standardised gate features.
    stratum
        int64 [n], >= 0; numbers may be left out.
    """

    standard: Tensor
    stratum: Tensor

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """[count, F], with replacement."""
        weights = 1 / self.stratum.bincount()[self.stratum]
        rows = torch.multinomial(weights, count, replacement=True, generator=generator)
        return self.standard[rows]


@dataclass(frozen=True)
class Look:
    """How well a head tells prompts apart that it was not trained on.

    Attributes
    ----------
    auroc
        Chance that one of its own scores above another.
    recall, false_alarms
        Shares of its own, and of the others, with a score above .5.
    """

    auroc: float
    recall: float
    false_alarms: float


def empty_heads(reference: ReferenceFeatures) -> ExpertHeads:
    """No heads yet, with the constants that belong to the general model."""
    mean, deviation = torch.from_numpy(reference.mean), torch.from_numpy(reference.deviation)
    return ExpertHeads(mean, deviation)


def reference_pool(reference: ReferenceFeatures, leave_out: Sequence[str] = ()) -> list[Pool]:
    """Random prompts that ship with the general model, by image domain.

    Parameters
    ----------
    leave_out
        Domains that hold the expert's own structure: among random prompts there, some are its own.

    Returns
    -------
    list
        One pool, or none where no other domain is left.
    """
    kept = torch.tensor([name not in leave_out for name in reference.domains], dtype=torch.bool)
    domain = torch.from_numpy(reference.domain)
    rows = kept[domain]
    if not bool(rows.any()):
        return []
    return [Pool(torch.from_numpy(reference.standard)[rows], domain[rows])]


def bank_pool(banks: Sequence[PromptBank], heads: ExpertHeads) -> Pool:
    """Simulated prompts, by bank and kind."""
    stratum = [len(PROMPT_KINDS) * number + bank.kind for number, bank in enumerate(banks)]
    features = torch.cat([bank.features for bank in banks])
    return Pool(heads.standardise(features), torch.cat(stratum))


def train_head(own: Pool, others: Sequence[Pool], recipe: HeadRecipe) -> nn.Sequential:
    """Teach a fresh head to tell ``own`` prompts from ``others``, in eval mode.

    Binary cross-entropy; a batch is half own, and the other half comes from all pools alike.
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    features = own.standard.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        head = ExpertHeads(torch.zeros(features), torch.ones(features)).add("new")
    optimiser = torch.optim.AdamW(head.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    cooling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    half = recipe.batch // 2
    shares = [half // len(others) + (i < half % len(others)) for i in range(len(others))]
    wanted = torch.cat([torch.ones(half), torch.zeros(half)])
    for _ in range(recipe.steps):
        drawn = [pool.draw(n, generator) for pool, n in zip(others, shares, strict=True) if n]
        logits = head(torch.cat([own.draw(half, generator), *drawn]))[:, 0]
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(logits, wanted).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        cooling.step()
    return head.eval()


@torch.no_grad()
def soften(
    head: nn.Sequential, heads: ExpertHeads, own: PromptBank, others: PromptBank
) -> nn.Sequential:
    """The same head, as sure as it may be: logits times what makes them likeliest on prompts of
    patients that it did not learn from, at most 1.

    A head is surer of prompts than it is right about them, each head by another factor, and the
    gate compares heads with each other. Its order of prompts stays, and which scores exceed .5.
    """
    mine, theirs = (head(heads.standardise(bank.features))[:, 0] for bank in (own, others))

    def surprise(factor: float) -> float:
        return float(F.softplus(-factor * mine).mean() + F.softplus(factor * theirs).mean())

    return scaled(head, min(SOFTENING, key=surprise))


@torch.no_grad()
def scaled(head: nn.Sequential, factor: float) -> nn.Sequential:
    """The same head with its logits times a factor."""
    changed = deepcopy(head)
    for value in changed[-1].parameters():
        value.mul_(factor)
    return changed


@torch.no_grad()
def look(
    head: nn.Sequential, heads: ExpertHeads, own: PromptBank, others: PromptBank
) -> dict[PromptKind, Look]:
    """Kind of prompt -> how well its own are told from the others; kinds without both left out."""
    found: dict[PromptKind, Look] = {}
    for number, kind in enumerate(PROMPT_KINDS):
        mine, theirs = (bank.features[bank.kind == number] for bank in (own, others))
        if len(mine) and len(theirs):
            a, b = (head(heads.standardise(features))[:, 0] for features in (mine, theirs))
            above = (a[:, None] > b).float() + 0.5 * (a[:, None] == b).float()
            shares = [float((logits > 0).float().mean()) for logits in (a, b)]
            found[kind] = Look(float(above.mean()), *shares)
    return found
