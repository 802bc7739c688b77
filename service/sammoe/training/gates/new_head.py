"""From data sets to one expert's head, and how well it does on patients that it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from sammoe.bundle import Expert, PromptKind, ReferenceFeatures
from sammoe.model import SamMed3D
from sammoe.model.mask_decoder import MaskDecoder
from sammoe.training.datasets import Part
from sammoe.training.gates.bank import PromptBank
from sammoe.training.gates.heads import (
    USUAL_SOFTENING,
    HeadRecipe,
    Look,
    bank_pool,
    empty_heads,
    look,
    reference_pool,
    scaled,
    soften,
    train_head,
)
from sammoe.training.gates.prompts import Simulator
from sammoe.training.gates.sources import Cutter, Source, nothing_labelled, own_sources
from sammoe.volume.window import WindowRule

_CALIBRATE = 4  # times fewer prompts than for training
_OTHERS = 4  # times fewer prompts of each other class than of the expert's own

_Target = tuple[Source, tuple[str, ...]]
"""A data set, and those of its classes that are one structure."""


@dataclass(frozen=True)
class NewHead:
    """A trained head, how it did on calibration patients by kind of prompt (may be empty), and the
    domains whose random prompts it did not learn from."""

    net: nn.Sequential
    looks: dict[PromptKind, Look]
    left_out: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class HeadMaker:
    """Makes heads for one general model.

    Parameters
    ----------
    model, reference, rule
        The bundle's.
    prompts
        Own ones, and as many random ones.
    recipe
        Of the training.
    cache
        Folder of windows and prompts.
    seed
        Of windows and prompts.
    """

    model: SamMed3D
    reference: ReferenceFeatures
    rule: WindowRule
    prompts: int
    recipe: HeadRecipe
    cache: Path
    seed: int = 0

    def make(
        self,
        expert: Expert,
        decoder: MaskDecoder,
        sources: Sequence[Source],
        general: Sequence[Source] = (),
        same_as: Sequence[str] = (),
    ) -> NewHead:
        """Learn from the data sets that have the expert's classes.

        How sure the head may be is learnt from calibration patients; where none shows the expert's
        classes, its logits are softened by `USUAL_SOFTENING`, for the gate compares heads.

        Parameters
        ----------
        decoder
            The expert's: what it answers is what is corrected next, half of the time.
        general
            Data sets whose labelled classes, but for the expert's, are told apart from it, too.
        same_as
            Domains of random prompts to leave out, beside those called like data sets with the
            expert's classes.

        Raises
        ------
        DataSetInvalid
            Nothing of the expert's classes is labelled for training.
        """
        own, simulator = own_sources(sources, expert), Simulator(self.model, [decoder], self.cache)
        targets = [(source, source.classes_of(expert)) for source in own]
        heads = empty_heads(self.reference)
        mine = self._labelled(simulator, targets, "train", self.prompts)
        if not mine:
            raise nothing_labelled(expert, own)
        banks = (
            self._random(simulator, expert, own, "train", self.prompts),
            self._general(_general_targets(expert, general)),
        )
        others = [bank_pool(made, heads) for made in banks if made]
        named = {*same_as, *(source.name for source in own)}
        left_out = tuple(name for name in self.reference.domains if name in named)
        others += reference_pool(self.reference, left_out)
        head = train_head(bank_pool(mine, heads), others, self.recipe)
        few = self.prompts // _CALIBRATE
        seen = self._labelled(simulator, targets, "calibrate", few)
        other = self._random(simulator, expert, own, "calibrate", few)
        looks = {}
        if seen and other:
            mine_seen, others_seen = PromptBank.join(seen), PromptBank.join(other)
            head = soften(head, heads, mine_seen, others_seen)
            looks = look(head, heads, mine_seen, others_seen)
        else:
            head = scaled(head, USUAL_SOFTENING)
        return NewHead(head, looks, left_out)

    def _cutter(self) -> Cutter:
        return Cutter(self.model.image_encoder, self.rule, self.cache, self.seed)

    def _labelled(
        self, simulator: Simulator, targets: Sequence[_Target], part: Part, prompts: int
    ) -> list[PromptBank]:
        """A bank for each target of which there is anything to show."""
        banks = []
        for source, classes in targets:
            share = -(-prompts // len(targets))
            windows = self._cutter().labelled(source, part, classes, share)
            if len(windows):
                title = f"{', '.join(classes)} in {source.name} ({part})"
                banks.append(simulator.labelled(windows, count=share, seed=self.seed, title=title))
        return banks

    def _general(self, targets: Sequence[_Target]) -> list[PromptBank]:
        """The same of other classes, as the general decoder alone answers them: another head of as
        many prompts finds them in the cache."""
        share = -(-self.prompts // _OTHERS)
        simulator = Simulator(self.model, [], self.cache)
        return self._labelled(simulator, targets, "train", share * len(targets))

    def _random(
        self, simulator: Simulator, expert: Expert, own: Sequence[Source], part: Part, prompts: int
    ) -> list[PromptBank]:
        """The same of prompts that are not the expert's."""
        share = -(-prompts // len(own))
        banks = []
        for source in own:
            windows = self._cutter().random(source, part, expert.classes, share)
            if len(windows):
                title = f"anything else in {source.name} ({part})"
                banks.append(simulator.random(windows, count=share, seed=self.seed, title=title))
        return banks


def _general_targets(expert: Expert, sources: Sequence[Source]) -> list[_Target]:
    """Every class that is not the expert's, by itself."""
    return [
        (source, (name,))
        for source in sources
        for name in source.dataset.classes
        if name not in expert.classes
    ]
