"""Which of the data sets given hold an expert's own classes, and windows of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sammoe.bundle import Expert
from sammoe.errors import DataSetInvalid
from sammoe.model.image_encoder import ImageEncoder
from sammoe.training.datasets import (
    Case,
    DataSet,
    Part,
    Split,
    check_patients,
    load_datasets,
    split_patients,
)
from sammoe.training.prepared import Prepared, RandomWindows, prepare, prepare_random
from sammoe.volume.window import WindowRule

_PROMPTS_A_WINDOW = 6
_FEWEST = 2  # windows a case: one for clicks, one for boxes


@dataclass(frozen=True, eq=False)
class Source:
    """A data set, split."""

    dataset: DataSet
    split: Split

    @property
    def name(self) -> str:
        """Of the data set: its image domain."""
        return self.dataset.name

    def classes_of(self, expert: Expert) -> tuple[str, ...]:
        """Those that the expert segments."""
        return tuple(name for name in self.dataset.classes if name in expert.classes)


def read_sources(roots: Sequence[Path]) -> list[Source]:
    """Data sets in the order given.

    Raises
    ------
    DataSetInvalid
        See `load_datasets` and `split_patients`.
    """
    datasets = load_datasets([root.resolve() for root in roots])
    return [Source(dataset, split_patients(dataset)) for dataset in datasets]


def read_together(*groups: Sequence[Path]) -> list[list[Source]]:
    """Groups of data sets that are used together; one may be in several groups.

    Raises
    ------
    DataSetInvalid
        See `read_sources` and `check_patients`.
    """
    found = [read_sources(roots) for roots in groups]
    check_patients((source.dataset, source.split) for group in found for source in group)
    return found


def own_sources(sources: Sequence[Source], expert: Expert) -> list[Source]:
    """Data sets with a class of the expert, and patients to train on.

    Raises
    ------
    DataSetInvalid
        There is none; the detail says what was looked for, and where.
    """
    found = [source for source in sources if source.classes_of(expert) and source.split.train]
    if not found:
        known = "; ".join(f"{s.name}: {', '.join(s.dataset.classes)}" for s in sources)
        wanted = ", ".join(expert.classes) or "none is named in its description"
        raise DataSetInvalid(
            f"no data set given has a class of expert {expert.name} ({wanted}); they have {known}"
        )
    return found


def nothing_labelled(expert: Expert, own: Sequence[Source]) -> DataSetInvalid:
    """The error of data sets that know an expert's classes, and show none for training."""
    names = ", ".join(source.name for source in own)
    return DataSetInvalid(
        f"nothing of expert {expert.name} is labelled in the training part of {names}"
    )


@dataclass(frozen=True, eq=False)
class Cutter:
    """Cuts windows, as many as some prompts need, of as many cases as possible.

    Parameters
    ----------
    encoder, rule
        The bundle's.
    cache
        Folder of the windows' embeddings.
    seed
        Of cases and windows.
    """

    encoder: ImageEncoder
    rule: WindowRule
    cache: Path
    seed: int

    def labelled(
        self, source: Source, part: Part, classes: Sequence[str], prompts: int
    ) -> Prepared:
        """Windows of prompts that mean ``classes``.

        Which cases show a class stands in their label maps alone: further ones are looked at for
        as long as too few do, and where all were, those that show it give more windows.

        Scans are shown as they are: if an expert's own were augmented, and random prompts' not, a
        head would learn to tell one from the other.
        """
        known = [
            case
            for case in source.split.cases(part)
            if any(name in case.labels for name in classes)
        ]
        order, wanted = self._order(known), _windows(prompts)

        def cut(numbers: Sequence[int], each: int) -> Prepared:
            return prepare(
                self.encoder,
                [known[number] for number in sorted(numbers)],
                classes,
                self.rule,
                windows=each,
                seed=self.seed,
                augment=False,
                cache=self.cache,
                title=f"{source.name} {', '.join(classes)} ({part})",
            )

        taken, each = _spread(len(order), wanted)
        made = cut(order[:taken], each)
        while len(made) < wanted and taken < len(order):
            taken = min(len(order), taken + _spread(len(order), wanted - len(made))[0])
            made = cut(order[:taken], each)
        cases = sorted(order[:taken])
        showing = [cases[row] for row in sorted(set(made.case.tolist()))]
        more = _spread(len(showing), wanted)[1]
        return cut(showing, more) if showing and more > each else made

    def random(
        self, source: Source, part: Part, avoid: Sequence[str], prompts: int
    ) -> RandomWindows:
        """Windows of prompts that mean nothing in particular, and none of ``avoid``."""
        cases = source.split.cases(part)
        taken, each = _spread(len(cases), _windows(prompts))
        return prepare_random(
            self.encoder,
            [cases[number] for number in sorted(self._order(cases)[:taken])],
            self.rule,
            windows=each,
            seed=self.seed,
            cache=self.cache,
            avoid=avoid,
            title=f"{source.name} anywhere ({part})",
        )

    def _order(self, cases: Sequence[Case]) -> list[int]:
        """In which they are taken: numbers, shuffled."""
        order: list[int] = np.random.default_rng(self.seed).permutation(len(cases)).tolist()
        return order


def _windows(prompts: int) -> int:
    return -(-prompts // _PROMPTS_A_WINDOW)


def _spread(cases: int, windows: int) -> tuple[int, int]:
    """How many of the cases are taken for so many windows, and how many windows of each."""
    taken = min(cases, -(-windows // _FEWEST))
    each = -(-windows // max(1, taken))
    return taken, max(_FEWEST, each + each % 2)
