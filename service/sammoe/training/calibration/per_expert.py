"""Whether a tau for each expert is worth it: fitted on half of the patients, told on the other."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sammoe.errors import DataSetInvalid
from sammoe.training.calibration.fitting import TAUS, Bench, Setting, choose
from sammoe.training.calibration.samples import Sample
from sammoe.training.calibration.sharing import share


@dataclass(frozen=True)
class Comparison:
    """Own Dice and general loss on patients that were not fitted on, with one tau and with many."""

    one: tuple[float, float]
    many: tuple[float, float]


def compare(samples: Sequence[Sample], setting: Setting, budget: float) -> Comparison | None:
    """Fit on each half of the patients, measure on the other half; means of both. None where a half
    lacks own or general classes: there are too few patients. Slacks are those of ``setting``.
    """
    found = []
    halves = [[s for s in samples if _half(s.patient) == half] for half in (0, 1)]
    for fitted, told in (halves, halves[::-1]):
        try:
            bench, other = Bench(fitted, setting.kind), Bench(told, setting.kind)
        except DataSetInvalid:
            return None
        slacks = setting.slack, setting.own_slack
        one = choose([bench.measure(tau, *slacks) for tau in TAUS], budget).tau
        taus = fit(bench, setting, budget)
        many = np.array([taus.get(sample.top, one) for sample in other.samples])
        found.append([*_told(other, one, setting), *_told(other, many, setting)])
    mean = np.mean(found, axis=0).tolist()
    return Comparison((mean[0], mean[1]), (mean[2], mean[3]))


def fit(bench: Bench, setting: Setting, budget: float) -> dict[str, float]:
    """A tau for each expert that ranks first somewhere: the most within a common budget.

    Of equal ones, that nearest to 0.5.
    """
    order = sorted(TAUS, key=lambda tau: abs(tau - 0.5))
    answers = [bench.answers(tau, setting.slack, setting.own_slack) for tau in order]
    names = sorted(set(bench.top.tolist()))
    places = share({name: bench.options(name, answers) for name in names}, budget)
    return {name: order[place] for name, place in places.items()}


def _told(
    bench: Bench, tau: "float | NDArray[np.float64]", setting: Setting
) -> tuple[float, float]:
    dice = bench.dice(bench.answers(tau, setting.slack, setting.own_slack))
    return bench.own_dice(dice), bench.loss(dice)


def _half(patient: str) -> int:
    return hashlib.sha256(patient.encode()).digest()[-1] % 2
