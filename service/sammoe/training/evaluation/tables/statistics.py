"""Means over classes, with bootstrap intervals over patients."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sammoe.training.evaluation.rows import Row

Draws = NDArray[np.float64]
"""float [1 + repeats]: the figure itself, then the same figure of each resample."""

REPEATS = 1000


@dataclass(frozen=True)
class Figure:
    """A number and its 95 % interval; NaN where nothing was measured."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "–"
        return f"{_short(self.value)} [{_short(self.low)}, {_short(self.high)}]"


def figure(draws: Draws) -> Figure:
    """The first of the draws, and the 2.5th and 97.5th percentile of the others."""
    others = draws[1:][np.isfinite(draws[1:])]
    if np.isnan(draws[0]) or not len(others):
        return Figure(float(draws[0]), float("nan"), float("nan"))
    low, high = np.percentile(others, [2.5, 97.5])
    return Figure(float(draws[0]), float(low), float(high))


class Bootstrap:
    """Resamples of the patients of an evaluation: all cases of a patient come and go together.

    A patient is known by its name, also across data sets (a CT and an MR of one person). Patients
    are drawn anew among those that occur in the same data sets, so that small data sets stay in.
    The resamples are the same for every figure, so differences of figures are paired.

    Parameters
    ----------
    rows
        Of the whole evaluation.
    """

    def __init__(self, rows: Iterable[Row], repeats: int = REPEATS, seed: int = 0) -> None:
        sets: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows:
            sets[row.patient].add(row.dataset)
        self._places = {patient: place for place, patient in enumerate(sorted(sets))}
        strata: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for patient, place in self._places.items():
            strata[tuple(sorted(sets[patient]))].append(place)
        rng = np.random.default_rng(seed)
        self._weights = np.ones((1 + repeats, len(self._places)))
        for _, members in sorted(strata.items()):
            share = np.full(len(members), 1 / len(members))
            self._weights[1:, members] = rng.multinomial(len(members), share, repeats)

    def mean(self, rows: Iterable[Row], value: Callable[[Row], float] = lambda r: r.dice) -> Draws:
        """Mean over classes of the classes' means; a class is known by its data set and name.

        Rows whose value is NaN do not count.
        """
        classes: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in rows:
            classes[row.dataset, row.structure].append(row)
        if not classes:
            return np.full(len(self._weights), np.nan)
        means = np.array([self.pooled(members, value) for members in classes.values()])
        known = np.isfinite(means)
        total = np.where(known, means, 0).sum(axis=0)
        return _divide(total, known.sum(axis=0))

    def pooled(
        self, rows: Sequence[Row], value: Callable[[Row], float] = lambda r: r.dice
    ) -> Draws:
        """Mean over rows, whatever their class."""
        values = np.array([value(row) for row in rows], dtype=np.float64)
        places = np.array([self._places[row.patient] for row in rows], dtype=np.intp)
        known = np.isfinite(values)
        size = len(self._places)
        total = np.bincount(places[known], values[known], size)
        count = np.bincount(places[known], minlength=size)
        return _divide(self._weights @ total, self._weights @ count)


def _divide(total: Draws, count: NDArray[np.floating] | NDArray[np.integer]) -> Draws:
    divided: Draws = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return divided


def _short(value: float) -> str:
    """Three decimals, without the zero before the point, as papers print Dice."""
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text
