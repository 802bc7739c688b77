"""What the mixture is held to, and whether an evaluation reaches it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sammoe.training.evaluation.systems import BASELINE, FT_EXPERT
from sammoe.training.evaluation.tables.answers import BOX, CLICK, JITTER, Answers, Asked, Filter
from sammoe.training.evaluation.tables.mixtures import (
    best_of_two,
    gain_kept,
    general_loss,
    top_right,
)
from sammoe.training.evaluation.tables.paper import classes_of
from sammoe.training.evaluation.tables.statistics import Draws, figure
from sammoe.training.evaluation.tables.table import Cell, Table

_MANY, _WEAK = 15, 5
_ROUNDING = 1e-9
_EXPERTS = {
    "hippocampus_anterior": ("hippocampus", 0.72, 0.80),
    "hippocampus_posterior": ("hippocampus", 0.72, 0.80),
    "sarcoma_mr": ("sarcoma_mr", 0.70, 0.80),
    "sarcoma_ct": ("sarcoma_ct", 0.60, 0.75),
}
"""Of experts trained on real scans with human labels: the data set of those scans, and the Dice of
their own classes there that must be reached, and that is aimed at."""


@dataclass(frozen=True)
class Goal:
    """A figure with the value that it must reach and the one that is aimed at."""

    title: str
    must: float
    aim: float
    better: Literal["more", "less"]
    measure: Callable[[Answers, str], Draws]

    def verdict(self, value: float) -> str:
        """``aim``, ``must``, ``missed``, or a dash where nothing was measured."""
        if value != value:
            return "–"
        sign = 1 if self.better == "more" else -1
        for name, bound in (("aim", self.aim), ("must", self.must)):
            if sign * (value - bound) >= -_ROUNDING:
                return name
        return "missed"


def table_goals(answers: Answers) -> Table:
    """All goals against the first mixture."""
    rows: list[list[Cell]] = []
    for name in answers.mixtures[:1]:
        for goal in goals(answers):
            found = figure(goal.measure(answers, name))
            sign = ">=" if goal.better == "more" else "<="
            rows.append(
                [
                    goal.title,
                    found,
                    f"{sign} {goal.must:g}",
                    f"{sign} {goal.aim:g}",
                    goal.verdict(found.value),
                ]
            )
    return Table("goals", "Goals", ("figure", "measured", "must", "aim", "reached"), rows)


def goals(answers: Answers) -> Iterator[Goal]:
    """What is asked of the default mixture, on test patients."""
    loop = answers.loop
    experts = {row.expert for row in answers.rows if row.group == "own"}
    must, aim = (0.95, 0.98) if len(experts) >= _MANY else (0.97, 0.99)
    yield Goal("right expert on top, box", must, aim, "more", lambda a, m: top_right(a, m, BOX))
    yield Goal(
        "right expert on top, 1 click", 0.9, 0.95, "more", lambda a, m: top_right(a, m, CLICK)
    )
    yield Goal("gain kept, box", 0.95, 0.98, "more", lambda a, m: gain_kept(a, m, BOX))
    yield Goal(f"gain kept, {loop.title}", 0.88, 0.95, "more", lambda a, m: gain_kept(a, m, loop))
    kinds: list[tuple[str, Filter, tuple[float, ...]]] = [
        ("general classes", lambda row: True, (0.005, 0.01, 0.015, 0.05)),
        (
            "classes never labelled for the gate",
            lambda row: row.structure not in answers.seen,
            (0.01, 0.02, 0.02, 0.06),
        ),
    ]
    for kind, keep, musts in kinds:
        prompts = (BOX, JITTER, answers.later, CLICK)
        for asked, must, aim in zip(prompts, musts, (0.0, 0.0, 0.005, 0.02), strict=True):
            title = f"{kind}: Dice lost, {asked.title}"
            yield Goal(title, must, aim, "less", _loss(asked, keep))
    yield Goal(
        "best of two, 1 click: below FT-expert, weak classes",
        0.01,
        0.0,
        "less",
        lambda a, m: a.dice(FT_EXPERT, "own", CLICK) - best_of_two(a, m, "own", CLICK),
    )
    yield Goal(
        "best of two, 1 click: below Baseline, general classes",
        0.005,
        0.0,
        "less",
        lambda a, m: a.dice(BASELINE, "general", CLICK) - best_of_two(a, m, "general", CLICK),
    )

    for expert in sorted(experts & _EXPERTS.keys()):
        dataset, must, aim = _EXPERTS[expert]
        yield Goal(f"{expert} in {dataset}, box", must, aim, "more", _own(expert, dataset))
    if len(experts) >= _WEAK:
        title = "own classes that the Baseline segments with Dice .2 to .6, box"
        yield Goal(title, _WEAK, _WEAK, "more", lambda a, m: _weak(a))


def _own(expert: str, dataset: str) -> Callable[[Answers, str], Draws]:
    return lambda answers, mixture: answers.dice(
        mixture, "own", BOX, lambda row: (row.expert, row.dataset) == (expert, dataset)
    )


def _weak(answers: Answers) -> Draws:
    """How many own classes are neither hopeless nor fine without their expert, each by the mean
    over its data sets."""
    structures = sorted({structure for _, structure in classes_of(answers, "own")})
    means = [answers.dice(BASELINE, "own", BOX, _of_class(name)) for name in structures]
    counts: Draws = np.sum([(draws >= 0.2) & (draws <= 0.6) for draws in means], axis=0)
    return counts.astype(np.float64)


def _of_class(structure: str) -> Filter:
    return lambda row: row.structure == structure


def _loss(asked: Asked, keep: Filter) -> Callable[[Answers, str], Draws]:
    return lambda answers, mixture: general_loss(answers, mixture, asked, keep)
