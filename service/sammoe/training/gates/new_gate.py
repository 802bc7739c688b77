"""From data sets to a gate of the paper's kind, over all experts of a bundle."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sammoe.bundle import Expert, PromptKind
from sammoe.errors import DataSetInvalid
from sammoe.model import SamMed3D
from sammoe.model.mask_decoder import MaskDecoder
from sammoe.training.datasets import Part
from sammoe.training.gates.bank import PromptBank
from sammoe.training.gates.lessons import Lessons
from sammoe.training.gates.paper import GateRecipe, Routed, TrainedGate, route, train_gate
from sammoe.training.gates.prompts import Simulator
from sammoe.training.gates.sources import Cutter, Source, nothing_labelled, own_sources
from sammoe.training.prepared import Prepared
from sammoe.volume.window import WindowRule

_CALIBRATE = 4  # times fewer prompts than for training

_Part = tuple[Prepared, PromptBank, int]


@dataclass(frozen=True)
class NewGate:
    """A trained gate, and what it does with calibration patients' prompts (may be empty)."""

    trained: TrainedGate
    routed: dict[PromptKind, Routed]


@dataclass(frozen=True, eq=False)
class GateMaker:
    """Makes gates over the experts of one bundle.

    Parameters
    ----------
    model, experts, decoders, rule
        The bundle's.
    prompts
        Of each expert; a joint gate has as many again, of general classes, as of all of them.
    recipe
        Of the training.
    cache
        Folder of windows and prompts.
    seed
        Of windows and prompts.
    """

    model: SamMed3D
    experts: Sequence[Expert]
    decoders: Mapping[str, MaskDecoder]
    rule: WindowRule
    prompts: int
    recipe: GateRecipe
    cache: Path
    seed: int = 0

    def make(self, sources: Sequence[Source], *, none_of_them: bool) -> NewGate:
        """Learn from every data set given.

        Parameters
        ----------
        none_of_them
            Learn from the classes that are no expert's, too.

        Raises
        ------
        DataSetInvalid
            An expert's classes are in none of them, or with ``none_of_them`` every class is some
            expert's.
        """
        parts, none = self._parts(sources, "train", self.prompts, none_of_them), len(self.experts)
        if none_of_them and not any(choice == none for _, _, choice in parts):
            raise DataSetInvalid(
                "a joint gate learns from labelled general classes too, and every class here is"
                " some expert's: give a data set with others, or use --mode heads"
            )
        trained = train_gate(
            self.model,
            self.decoders,
            Lessons.of(parts, none),
            self.recipe,
            none_of_them=none_of_them,
        )
        seen = self._parts(sources, "calibrate", self.prompts // _CALIBRATE, True)
        routed = {}
        if seen:
            routed = route(trained.gate, self.model.prompt_encoder, Lessons.of(seen, none))
        return NewGate(trained, routed)

    def _parts(
        self, sources: Sequence[Source], part: Part, prompts: int, none_of_them: bool
    ) -> list[_Part]:
        parts = list(self._of_experts(sources, part, prompts))
        if none_of_them:
            parts += self._of_nobody(sources, part, prompts * len(self.experts))
        return parts

    def _of_experts(self, sources: Sequence[Source], part: Part, prompts: int) -> Iterator[_Part]:
        for number, expert in enumerate(self.experts):
            own, any_windows = own_sources(sources, expert), False
            simulator = Simulator(self.model, [self.decoders[expert.name]], self.cache)
            for source in own:
                share = -(-prompts // len(own))
                classes = source.classes_of(expert)
                for made in self._bank(simulator, source, part, classes, share, number):
                    any_windows = True
                    yield made
            if part == "train" and not any_windows:
                raise nothing_labelled(expert, own)

    def _of_nobody(self, sources: Sequence[Source], part: Part, prompts: int) -> Iterator[_Part]:
        taken = {name for expert in self.experts for name in expert.classes}
        free = [(s, name) for s in sources for name in s.dataset.classes if name not in taken]
        simulator = Simulator(self.model, list(self.decoders.values()), self.cache)
        for source, name in free:
            share = -(-prompts // len(free))
            yield from self._bank(simulator, source, part, [name], share, len(self.experts))

    def _bank(
        self,
        simulator: Simulator,
        source: Source,
        part: Part,
        classes: Sequence[str],
        prompts: int,
        choice: int,
    ) -> Iterator[_Part]:
        """Nothing where no case of the part shows any of the classes."""
        cutter = Cutter(self.model.image_encoder, self.rule, self.cache, self.seed)
        windows = cutter.labelled(source, part, classes, prompts)
        if len(windows):
            title = f"{', '.join(classes)} in {source.name} ({part})"
            bank = simulator.labelled(
                windows, count=prompts, seed=self.seed, masks=True, title=title
            )
            yield windows, bank, choice
