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

        Scans are shown as they are: if an expert's own were augmented, and random prompts' not, a
        head would learn to tell one from the other.
        """
        known = [
            case
            for case in source.split.cases(part)
            if any(name in case.labels for name in classes)
        ]
        cases, windows = self._spread(known, prompts)
        return prepare(
            self.encoder,
            cases,
            classes,
            self.rule,
            windows=windows,
            seed=self.seed,
            augment=False,
            cache=self.cache,
            title=f"{source.name} {', '.join(classes)} ({part})",
        )

    def random(
        self, source: Source, part: Part, avoid: Sequence[str], prompts: int
    ) -> RandomWindows:
        """Windows of prompts that mean nothing in particular, and none of ``avoid``."""
        cases, windows = self._spread(source.split.cases(part), prompts)
        return prepare_random(
            self.encoder,
            cases,
            self.rule,
            windows=windows,
            seed=self.seed,
            cache=self.cache,
            avoid=avoid,
            title=f"{source.name} anywhere ({part})",
        )

    def _spread(self, cases: Sequence[Case], prompts: int) -> tuple[list[Case], int]:
        """Cases, some of them if there are many, and how many windows of each."""
        wanted = -(-prompts // _PROMPTS_A_WINDOW)
        order = np.random.default_rng(self.seed).permutation(len(cases)).tolist()
        chosen = sorted(order[: -(-wanted // _FEWEST)])
        each = -(-wanted // max(1, len(chosen)))
        return [cases[number] for number in chosen], max(_FEWEST, each + each % 2)
