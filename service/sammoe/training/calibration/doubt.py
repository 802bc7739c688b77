"""Limits beyond which an answer is doubtful: those that tell bad answers best.

A limit is judged by Youden's J: the share of bad answers (Dice below `BAD_DICE`) that it warns of,
less the share of good ones; classes count equally. J does not depend on how many answers are bad,
which differs from one user's work to the next one's. The highest J is taken, and no limit where
none is above 0.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sammoe.training.calibration.fitting import Bench, Setting
from sammoe.training.evaluation.tables.warnings import BAD_DICE

AGREEMENTS: Final = tuple(round(0.02 * n, 2) for n in range(1, 50))
PERCENTILES: Final = (99.5, 99.0, 97.5, 95.0, 90.0)
"""Of the calibration prompts' distances."""


@dataclass(frozen=True)
class Limit:
    """A limit, and on calibration patients: the shares of all, bad and good answers warned of."""

    value: float
    warned: float
    bad: float
    good: float


@dataclass(frozen=True, eq=False)
class Answered:
    """Calibrated answers: Dice, agreement (NaN where the gate did not ask an expert), distance,
    and weights that make classes count equally; float [n] each."""

    dice: NDArray[np.float64]
    agreement: NDArray[np.float64]
    distance: NDArray[np.float64]
    weights: NDArray[np.float64]


def answered(benches: Sequence[Bench], chosen: Sequence[Setting]) -> Answered:
    """The answers of all kinds of prompts that the chosen settings give."""
    samples = [sample for bench in benches for sample in bench.samples]
    dice, agreement = [], []
    for bench, setting in zip(benches, chosen, strict=True):
        dice.append(bench.dice(bench.answers(setting.tau, setting.slack, setting.own_slack)))
        asked = bench.s_top > setting.tau
        agreement.append(np.where(asked, [s.agreement for s in bench.samples], np.nan))
    names = [(sample.dataset, sample.structure) for sample in samples]
    counts = Counter(names)
    return Answered(
        np.concatenate(dice),
        np.concatenate(agreement),
        np.array([sample.distance for sample in samples]),
        np.array([1 / counts[name] for name in names]),
    )


def agreement_limit(answers: Answered) -> Limit | None:
    """Dice of the two candidates below which an answer is doubtful."""
    return _best([(v, answers.agreement < v) for v in AGREEMENTS], answers)


def distance_limit(answers: Answered) -> Limit | None:
    """Distance beyond which an answer is doubtful; None where no features ship."""
    known = answers.distance[np.isfinite(answers.distance)]
    if not len(known):
        return None
    values = [round(float(np.percentile(known, percent)), 4) for percent in PERCENTILES]
    return _best([(v, answers.distance > v) for v in values], answers)


def _best(tried: Sequence[tuple[float, NDArray[np.bool_]]], answers: Answered) -> Limit | None:
    bad = answers.dice < BAD_DICE
    if bad.all() or not bad.any():
        return None
    weights = answers.weights

    def share(warned: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
        return float(weights[warned & among].sum() / weights[among].sum())

    limits = [
        Limit(value, share(warned, np.ones_like(bad)), share(warned, bad), share(warned, ~bad))
        for value, warned in tried
    ]
    best = max(limits, key=lambda limit: limit.bad - limit.good)
    return best if best.bad > best.good else None
