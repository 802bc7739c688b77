"""Whether a tau for each expert is worth it: fitted on half of the patients, told on the other."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle import PromptKind
from sammoe.errors import DataSetInvalid
from sammoe.training.calibration.fitting import TAUS, Bench, choose
from sammoe.training.calibration.samples import Sample

_PRICES = (0.0, *np.geomspace(0.01, 1e4, 61).tolist())


@dataclass(frozen=True)
class Comparison:
    """Own Dice and general loss on patients that were not fitted on, with one tau and with many."""

    one: tuple[float, float]
    many: tuple[float, float]


def compare(
    samples: Sequence[Sample], kind: PromptKind, slack: float | None, budget: float
) -> Comparison | None:
    """Fit on each half of the patients, measure on the other half; means of both. None where a half
    lacks own or general classes: there are too few patients.
    """
    found = []
    halves = [[s for s in samples if _half(s.patient) == half] for half in (0, 1)]
    for fitted, told in (halves, halves[::-1]):
        try:
            bench, other = Bench(fitted, kind), Bench(told, kind)
        except DataSetInvalid:
            return None
        one = choose([bench.measure(tau, slack) for tau in TAUS], budget).tau
        taus = fit(bench, slack, budget)
        many = np.array([taus.get(sample.top, one) for sample in other.samples])
        found.append([*_told(other, one, slack), *_told(other, many, slack)])
    mean = np.mean(found, axis=0).tolist()
    return Comparison((mean[0], mean[1]), (mean[2], mean[3]))


def fit(bench: Bench, slack: float | None, budget: float) -> dict[str, float]:
    """A tau for each expert that ranks first somewhere: the most within a common budget.

    General loss has a price, the same for all experts; each takes the tau that is best at that
    price (nearest to 0.5 of equal ones), and the lowest price that keeps the budget is taken.
    """
    tops = np.array([sample.top for sample in bench.samples])
    names = sorted(set(tops.tolist()))
    gains = bench.weights * (bench.fused - bench.general)
    order = sorted(TAUS, key=lambda tau: abs(tau - 0.5))
    table = {}
    for name in names:
        answers = np.array([bench.answers(tau, slack) & (tops == name) for tau in order])
        losses = np.maximum(-gains * ~bench.own, 0)
        table[name] = answers @ (gains * bench.own), answers @ losses
    taus: dict[str, float] = {}
    for price in _PRICES:
        places = {name: int(np.argmax(own - price * lost)) for name, (own, lost) in table.items()}
        taus = {name: order[place] for name, place in places.items()}
        if sum(table[name][1][place] for name, place in places.items()) <= budget:
            break
    return taus


def _told(
    bench: Bench, tau: "float | NDArray[np.float64]", slack: float | None
) -> tuple[float, float]:
    dice = bench.dice(bench.answers(tau, slack))
    return bench.own_dice(dice), bench.loss(dice)


def _half(patient: str) -> int:
    return hashlib.sha256(patient.encode()).digest()[-1] % 2
