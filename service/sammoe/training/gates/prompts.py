"""Simulated prompts, for a gate to learn from: all that users may do before it is asked.

A first click, a box or some points at once, then clicks that correct what is shown. What is shown,
and so what is clicked next and fed as prior, is the general decoder's answer or another's, half of
the time each: which one it will be in use, the gate itself decides.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from sammoe.engine.selector import LOGIT_LIMIT
from sammoe.model import SamMed3D
from sammoe.model.mask_decoder import MaskDecoder
from sammoe.training.clicks import corrective_clicks
from sammoe.training.gates.asking import Asked
from sammoe.training.gates.bank import ABSENT, PromptBank, kinds_of
from sammoe.training.gates.caching import cached
from sammoe.training.gates.loops import MOST_ANSWERS, batches, draw_loops
from sammoe.training.gates.starts import (
    Tokens,
    box_around,
    box_tokens,
    click_tokens,
    first_tokens,
    points_inside,
    points_tokens,
    some_of,
    stretched,
)
from sammoe.training.mapped import as_fed
from sammoe.training.prepared import Prepared, RandomWindows

_TOKENS = MOST_ANSWERS + 1
_RANDOM_BOXES = 0.25  # of random prompts' boxes; the others hold the general decoder's mask


class Start(NamedTuple):
    """First prompts, and what they mean: [B, L, L, L] share of each cell."""

    tokens: Tokens
    targets: Tensor


class _Windows(Protocol):
    """What prompts are made in; see :class:`sammoe.training.prepared.Prepared`."""

    @property
    def embeddings(self) -> Tensor: ...

    @property
    def clicks(self) -> Tensor: ...

    @property
    def boxes(self) -> Tensor: ...

    @property
    def boxed(self) -> Tensor: ...


_Begin = Callable[[Tensor, int, int, torch.Generator], Start]
"""Windows, answers and first points (see `loops.Loop`) -> start."""


@dataclass(frozen=True, eq=False)
class Simulator:
    """Makes banks of prompts for one general model.

    Parameters
    ----------
    model
        Whose prompt encoder and general decoder are used, frozen, in eval mode, where they lie.
    others
        Decoders whose answers are shown, too, together as often as the general one's; on the same
        device. Everything else is the CPU's, and so are the banks.
    cache
        Folder of the banks.
    """

    model: SamMed3D
    others: Sequence[MaskDecoder]
    cache: Path

    def labelled(
        self, windows: Prepared, *, count: int, seed: int, masks: bool = False, title: str
    ) -> PromptBank:
        """``count`` prompts that mean the windows' targets.

        Parameters
        ----------
        masks
            Keep prior and logits, too; the expert's are those of the only other decoder. With
            several, whose the prompts are is not said, and the general ones stand in their place.
        """

        def begin(rows: Tensor, answers: int, points: int, generator: torch.Generator) -> Start:
            clicks = some_of(windows.clicks[rows], points, generator)
            if points > 1:
                tokens = points_tokens(clicks)
            else:
                boxes, boxed = windows.boxes[rows], windows.boxed[rows]
                tokens = self._first(clicks[:, 0], boxes, boxed, generator)
            return Start(tokens, windows.targets[rows].float())

        tensors = [*_places(windows), windows.targets]
        return cached(
            self.cache,
            ["labelled", count, seed, masks, *self._modules(), *tensors],
            lambda: self._simulate(windows, begin, count, seed, title, masks=masks),
        )

    def random(self, windows: RandomWindows, *, count: int, seed: int, title: str) -> PromptBank:
        """``count`` prompts that mean nothing in particular.

        Three quarters of the boxes hold the general decoder's own answer to a click, the others
        anything; several points at once lie in such an answer. Later clicks go on as if its answer
        to a somewhat other box were wanted: something of about that place and size, for which no
        label is needed.
        """

        def begin(rows: Tensor, answers: int, points: int, generator: torch.Generator) -> Start:
            if points > 1:
                return self._random_points(windows, rows, points, generator)
            return self._random_start(windows, rows, answers, generator)

        tensors = _places(windows)
        return cached(
            self.cache,
            ["random", count, seed, *self._modules(), *tensors],
            lambda: self._simulate(windows, begin, count, seed, title, masks=False),
        )

    def _modules(self) -> list[torch.nn.Module]:
        return [self.model.prompt_encoder, self.model.mask_decoder, *self.others]

    def _first(
        self, clicks: Tensor, boxes: Tensor, boxed: Tensor, generator: torch.Generator
    ) -> Tokens:
        return first_tokens(clicks, boxes, boxed, self.model.config.image_size, generator)

    def _nothing(self, count: int) -> Tensor:
        """[B, L, L, L]: of no cell anything is known."""
        return torch.zeros(count, *[self.model.config.cells] * 3)

    def _fed(self, tokens: Tokens) -> tuple[Tensor, Tensor, Tensor]:
        """First tokens and their prior [B, 1, L, L, L] as decoders get them."""
        prior = self._nothing(len(tokens[0]))
        coords, labels, prior = as_fed(*tokens, prior, self.model.config)
        return coords, labels, prior[:, None]

    def _general(self, embedding: Tensor, tokens: Tokens) -> Tensor:
        """Masks bool [B, L, L, L]."""
        general = Asked(self.model.prompt_encoder, self.model.mask_decoder)
        return general.logits(embedding, *self._fed(tokens))[:, 0] > 0

    def _random_start(
        self, windows: RandomWindows, rows: Tensor, answers: int, generator: torch.Generator
    ) -> Start:
        clicks, boxes = some_of(windows.clicks[rows], 1, generator)[:, 0], windows.boxes[rows]
        boxed, size = windows.boxed[rows], self.model.config.image_size
        targets = self._nothing(len(rows))
        if answers > 1 or bool(boxed.any()):
            embedding = windows.embeddings[rows]
            found, empty = box_around(self._general(embedding, click_tokens(clicks)), size)
            anything = torch.rand(len(rows), generator=generator) < _RANDOM_BOXES
            boxes = torch.where((empty | anything)[:, None], boxes, found)
            if answers > 1:
                meant = box_tokens(stretched(boxes, generator), size)
                targets = self._general(embedding, meant).float()
        return Start(self._first(clicks, boxes, boxed, generator), targets)

    def _random_points(
        self, windows: RandomWindows, rows: Tensor, points: int, generator: torch.Generator
    ) -> Start:
        click = some_of(windows.clicks[rows], 1, generator)[:, 0]
        meant = self._general(windows.embeddings[rows], click_tokens(click))
        inside = points_inside(meant, points, self.model.config.image_size, generator)
        return Start(points_tokens(inside), meant.float())

    @torch.no_grad()
    def _simulate(
        self, windows: _Windows, begin: _Begin, count: int, seed: int, title: str, *, masks: bool
    ) -> PromptBank:
        generator = torch.Generator().manual_seed(seed)
        parts = []
        with tqdm(total=count, desc=title, unit="prompt", disable=None) as bar:
            for rows, answers, points in batches(draw_loops(windows.boxed, count, generator)):
                start = begin(rows, answers, points, generator)
                embedding = windows.embeddings[rows]
                for part in self._loop(embedding, start, rows, answers, generator, masks=masks):
                    parts.append(part)
                    bar.update(len(part))
        return PromptBank.join(parts)

    def _loop(
        self,
        embedding: Tensor,
        start: Start,
        rows: Tensor,
        answers: int,
        generator: torch.Generator,
        *,
        masks: bool,
    ) -> Iterator[PromptBank]:
        """The prompts of some loops, step by step."""
        encoder = self.model.prompt_encoder
        general = Asked(encoder, self.model.mask_decoder)
        others = [Asked(encoder, other) for other in self.others]
        coords, labels, prior = self._fed(start.tokens)
        for answer in range(answers):
            inputs = (embedding, coords, labels, prior)
            logits, features = general.logits_and_features(*inputs)
            expert = others[0].logits(*inputs) if masks and len(others) == 1 else logits
            kept = (prior, logits, expert) if masks else (prior[:0], logits[:0], expert[:0])
            absent = (0, _TOKENS - labels.shape[1])
            yield PromptBank(
                features,
                F.pad(coords, (0, 0, *absent)),
                F.pad(labels, absent, value=ABSENT),
                rows,
                kinds_of(labels),
                *(k[:, 0].clamp(-LOGIT_LIMIT, LOGIT_LIMIT).half() for k in kept),
            )
            if answer + 1 == answers:
                return
            shown = _shown(logits, others, inputs, generator).clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
            size = self.model.config.image_size
            at, label = corrective_clicks(shown[:, 0], start.targets, size, generator)
            # New clicks go before the last token, which is the padding or the box's last corner.
            coords = torch.cat([coords[:, :-1], at[:, None], coords[:, -1:]], dim=1)
            labels = torch.cat([labels[:, :-1], label[:, None], labels[:, -1:]], dim=1)
            prior = shown


def _places(windows: _Windows) -> list[Tensor]:
    """All of the windows that prompts are made of."""
    return [windows.embeddings, windows.clicks, windows.boxes, windows.boxed]


def _shown(
    general: Tensor,
    others: Sequence[Asked],
    inputs: tuple[Tensor, ...],
    generator: torch.Generator,
) -> Tensor:
    """Half of the answers [B, 1, L, L, L] are the general decoder's, half another's."""
    draw = torch.rand(len(general), generator=generator)
    by = (draw * 2 * len(others)).long()  # others' numbers, and as many that are none's
    shown = general.clone()
    for number, other in enumerate(others):
        chosen = by == number
        if bool(chosen.any()):
            shown[chosen] = other.logits(*(given[chosen] for given in inputs))
    return shown
