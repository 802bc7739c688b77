"""The gate of the paper's section 2.2, as written (m outputs) or with one for "none of them".

The loss is cross-entropy on the choice plus DiceCE on the fused output. Which expert is fused says
the label, not the gate: ``(1 - s_y) M_g + s_y M_y`` for the labelled expert y, since the top one
changes in steps, which have no gradient. Prompts that are none's have no M_y and count by their
cross-entropy alone.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from sammoe.bundle import PROMPT_KINDS, PromptKind
from sammoe.model import SamMed3D
from sammoe.model.gate import PaperGate
from sammoe.model.mask_decoder import MaskDecoder
from sammoe.model.prompt_encoder import PromptEncoder
from sammoe.training.frozen import weights_digest
from sammoe.training.gates.fusing import fuse
from sammoe.training.gates.lessons import Lesson, Lessons
from sammoe.training.losses import dice_ce

_LOOK_BATCH = 32


@dataclass(frozen=True)
class GateRecipe:
    """Everything that a gate is a function of, beside its data.

    Parameters
    ----------
    steps, batch
        Optimiser steps, prompts a step.
    lr, weight_decay
        AdamW's; cosine to 0. The paper's 1e-6 belongs to its scale: ours needs 1e-3.
    fusion
        Of the output that DiceCE is on, as in the manifest.
    train_experts
        Whether the fused expert's decoder learns, too. The paper says both: that only the gate is
        trained, and that updates are confined "to the parameters of the Top-1 expert mask decoder".
        Each step then has prompts of one expert, in turn, beside as many of all.
    decoder_lr
        Of those decoders.
    seed
        Of weights and batches.
    """

    steps: int = 600
    batch: int = 24
    lr: float = 1e-3
    weight_decay: float = 1e-2
    fusion: Literal["probability", "logit"] = "probability"
    train_experts: bool = False
    decoder_lr: float = 1e-4
    seed: int = 0


@dataclass(frozen=True, eq=False)
class TrainedGate:
    """A gate in eval mode, the experts' decoders (as they were, unless they learnt) and proof.

    ``frozen``: SHA-256 of the weights of everything that did not learn, the same before and after.
    """

    gate: PaperGate
    experts: dict[str, MaskDecoder]
    frozen: dict[str, str]


def train_gate(
    model: SamMed3D,
    experts: Mapping[str, MaskDecoder],
    lessons: Lessons,
    recipe: GateRecipe,
    *,
    none_of_them: bool,
) -> TrainedGate:
    """Teach a fresh gate.

    Parameters
    ----------
    model, experts
        The bundle's, in eval mode, on one device, where the gate learns; not changed.
    lessons
        ``choice`` counts the experts in order; the next number means none of them.
    none_of_them
        False: the paper's m outputs, and all lessons must be some expert's.

    Raises
    ------
    RuntimeError
        What must not learn has changed.
    """
    frozen_parts = {
        "image_encoder": model.image_encoder,
        "prompt_encoder": model.prompt_encoder,
        "decoder_general": model.mask_decoder,
    }
    if not recipe.train_experts:
        frozen_parts |= {f"decoder_{name}": decoder for name, decoder in experts.items()}
    before = {name: weights_digest(part) for name, part in frozen_parts.items()}
    school = _School(model, list(experts.values()), lessons, recipe, none_of_them=none_of_them)
    school.run()
    after = {name: weights_digest(part) for name, part in frozen_parts.items()}
    if after != before:
        changed = ", ".join(name for name in before if after[name] != before[name])
        raise RuntimeError(f"{changed} changed while only the gate may learn")
    learnt = dict(zip(experts, school.decoders, strict=True))
    return TrainedGate(school.gate.eval().requires_grad_(False), learnt, before)


class _School:
    def __init__(
        self,
        model: SamMed3D,
        decoders: Sequence[MaskDecoder],
        lessons: Lessons,
        recipe: GateRecipe,
        *,
        none_of_them: bool,
    ) -> None:
        self.recipe, self.lessons, self.prompt_encoder = recipe, lessons, model.prompt_encoder
        self.device = next(model.prompt_encoder.parameters()).device
        self.generator = torch.Generator().manual_seed(recipe.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.gate = PaperGate(model.config, len(decoders), none_of_them=none_of_them)
        self.gate.to(self.device)
        groups = [
            {
                "params": list(self.gate.parameters()),
                "lr": recipe.lr,
                "weight_decay": recipe.weight_decay,
            }
        ]
        self.decoders = list(decoders)
        if recipe.train_experts:
            self.decoders = [deepcopy(decoder).requires_grad_(True) for decoder in decoders]
            learning = [p for decoder in self.decoders for p in decoder.parameters()]
            groups.append({"params": learning, "lr": recipe.decoder_lr, "weight_decay": 0.0})
        self.optimiser = torch.optim.AdamW(groups)
        self.cooling = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, recipe.steps)

    def run(self) -> None:
        with tqdm(range(self.recipe.steps), desc="gate", unit="step", disable=None) as bar:
            for step in bar:
                entropy, dice = self._learn(step % len(self.decoders))
                bar.set_postfix(entropy=f"{entropy:.3f}", dice=f"{dice:.3f}", refresh=False)

    def _learn(self, turn: int) -> tuple[float, float]:
        only = turn if self.recipe.train_experts else None
        lesson = self.lessons.draw(self.recipe.batch, self.generator, half_of=only).to(self.device)
        prompt = embed(self.prompt_encoder, lesson)
        logits = self.gate(lesson.embedding, *prompt)
        entropy = F.cross_entropy(logits, lesson.choice)
        mine = lesson.choice < len(self.decoders) if only is None else lesson.choice == only
        dice = torch.zeros((), device=self.device)
        if bool(mine.any()):
            share = torch.softmax(logits[mine], dim=-1)
            share = share.gather(1, lesson.choice[mine, None])[:, 0]
            expert = lesson.expert[mine]
            if only is not None:
                position, sparse, dense = prompt
                answer, _ = self.decoders[only](
                    lesson.embedding[mine], position, sparse[mine], dense[mine]
                )
                expert = answer[:, 0]
            fused = fuse(lesson.general[mine], expert, share, self.recipe.fusion)
            dice = dice_ce(fused, lesson.targets[mine])
        self.optimiser.zero_grad(set_to_none=True)
        (entropy + dice).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.cooling.step()
        return float(entropy.detach()), float(dice.detach())


@torch.no_grad()
def embed(prompt_encoder: PromptEncoder, lesson: Lesson) -> tuple[Tensor, Tensor, Tensor]:
    """Dense position, sparse and dense embedding of some prompts; the prompt encoder is frozen."""
    sparse, dense = prompt_encoder.embed_prompt(lesson.coords, lesson.labels, lesson.prior)
    return prompt_encoder.get_dense_pe(), sparse, dense


@dataclass(frozen=True)
class Routed:
    """What a gate does with prompts that it was not trained on.

    Attributes
    ----------
    right
        Share of the experts' prompts whose top expert is the right one; NaN without any.
    passed
        Share of them whose top score exceeds .5.
    leaked
        The same of prompts that are none's.
    """

    right: float
    passed: float
    leaked: float


@torch.no_grad()
def route(
    gate: PaperGate, prompt_encoder: PromptEncoder, lessons: Lessons
) -> dict[PromptKind, Routed]:
    """By kind of prompt."""
    tops, choices, kinds = [], [], []
    device = next(gate.parameters()).device
    for rows in lessons.in_order(_LOOK_BATCH):
        lesson = lessons.take(rows).to(device)
        scores = gate.scores(gate(lesson.embedding, *embed(prompt_encoder, lesson)))
        tops.append(torch.stack([value.float() for value in scores.max(1)], dim=1))
        choices.append(lesson.choice)
        kinds.append(lesson.kind)
    top, choice, kind = (torch.cat(part).cpu() for part in (tops, choices, kinds))
    found: dict[PromptKind, Routed] = {}
    for number, name in enumerate(PROMPT_KINDS):
        theirs = (kind == number) & (choice < lessons.none)
        nobodys = (kind == number) & (choice == lessons.none)
        right, passes = top[:, 1] == choice, top[:, 0] > 0.5
        shares = (right[theirs], passes[theirs], passes[nobodys])
        found[name] = Routed(*(float(share.float().mean()) for share in shares))
    return found
