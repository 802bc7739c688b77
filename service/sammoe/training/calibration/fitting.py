"""tau and slack: the most for experts' own classes within a budget for all others.

For every kind of prompt, all pairs of a grid are tried: it is arithmetic on the samples. Of the
pairs that lose no more than the budget on general classes, in whatever way a user asks, that of the
best Dice on own classes is taken; among those that are within `TIE` of it, the tau nearest to 0.5,
then the smaller slack.

Losses are counted without gains. An expert's mask is now better on a general class, now worse, and
in the mean over some twenty patients that is about even, however often it answers. But the user who
got the worse one clicks on from it, and what another's prompt gained is of no help there.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle import PROMPT_KINDS, PromptKind
from sammoe.errors import DataSetInvalid
from sammoe.training.calibration.samples import Sample
from sammoe.training.calibration.sharing import Options

BUDGET: Final = 0.01
"""Dice that general classes may lose, for each kind of prompt that no other budget is given for."""

Budget = Mapping[PromptKind, float | None]
"""For each kind of prompt; None where the thresholds stay as they are."""

TIE: Final = 0.001
TAUS: Final = (*(round(0.05 * n, 2) for n in range(1, 20)), 0.97, 0.98, 0.99, 0.995, 1.0)
"""At 1 no expert answers, so that any budget can be kept."""

SLACKS: Final[dict[PromptKind, tuple[float | None, ...]]] = {
    "box": (0.0, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, None),
    "click": (0.0, 0.5, 1.0, 2.0, 3.0, 4.5, 6.0, 8.0, 12.0, None),
    "clicks": (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, None),
}
"""Shares of the box's side; logits; -log p, in the mean over clicks. None: no check."""


@dataclass(frozen=True)
class Setting:
    """One pair of the grid, with what it gives.

    Attributes
    ----------
    own, general
        Mean Dice over classes.
    own_slack
        By expert, in place of ``slack``; see :mod:`sammoe.training.calibration.each`.
    loss
        Of Dice on general classes against the general model alone: the mean, over classes, of what
        every prompt loses, 0 where it gains; in the way of asking that loses most.
    """

    kind: PromptKind
    tau: float
    slack: float | None
    own: float
    general: float
    loss: float
    own_slack: Mapping[str, float | None] = field(default_factory=dict)


class Bench:
    """The samples of one kind of prompt as arrays.

    Parameters
    ----------
    samples
        Of both groups.
    kind
        Others are left out.

    Raises
    ------
    DataSetInvalid
        There is no sample of an expert's own class, or none of a general one.
    """

    def __init__(self, samples: Sequence[Sample], kind: PromptKind) -> None:
        self.kind = kind
        self.samples = [sample for sample in samples if sample.kind == kind]
        self.own = np.array([bool(s.expert) for s in self.samples], bool)
        if self.own.all() or not self.own.any():
            lacking = "general class" if self.own.any() else "class of an expert"
            raise DataSetInvalid(
                f"no prompt of the kind {kind!r} on a {lacking}: give data sets that hold both, on"
                " calibration patients"
            )
        self.top = np.array([s.top for s in self.samples])
        self.s_top = np.array([s.s_top for s in self.samples])
        self.general = np.array([s.general for s in self.samples])
        self.fused = np.array([s.fused for s in self.samples])
        # The expert's excess is infinite, or NaN beside an equally empty general mask: no accept.
        misfits = np.array([s.misfits for s in self.samples])
        with np.errstate(invalid="ignore"):
            self._excess = misfits[:, 1] - misfits[:, 0]
        self._empty = ~np.isfinite(misfits[:, 1])
        self.weights = np.where(self.own, self._shares(self.own), self._shares(~self.own))
        ways = np.array([s.way for s in self.samples])
        found = [~self.own & (ways == way) for way in sorted(set(ways.tolist()))]
        self._by_way = [self._shares(group) for group in found if group.any()]

    def answers(
        self,
        tau: "float | NDArray[np.float64]",
        slack: float | None,
        own_slack: Mapping[str, float | None] = MappingProxyType({}),
    ) -> NDArray[np.bool_]:
        """Which samples the expert answers, bool [n]; ``tau`` may differ for each."""
        fits = self._fits(slack)
        for name, own in own_slack.items():
            fits = np.where(self.top == name, self._fits(own), fits)
        return (self.s_top > tau) & fits

    def dice(self, answers: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Dice of every answer."""
        return np.where(answers, self.fused, self.general)

    def experts_of(self, patients: int) -> set[str]:
        """Experts whose own classes that many patients have, at least."""
        own = {(s.expert, s.dataset, s.patient) for s in self.samples if s.expert}
        counts = Counter(expert for expert, _, _ in own)
        return {expert for expert, count in counts.items() if count >= patients}

    def own_dice(self, dice: NDArray[np.float64]) -> float:
        """Mean over own classes."""
        return float((self.weights * dice)[self.own].sum())

    def general_dice(self, dice: NDArray[np.float64]) -> float:
        """Mean over general classes."""
        return float((self.weights * dice)[~self.own].sum())

    def loss(self, dice: NDArray[np.float64]) -> float:
        """See `Setting`."""
        lost = np.maximum(self.general - dice, 0)
        return max(float((weights * lost).sum()) for weights in self._by_way)

    def measure(
        self,
        tau: float,
        slack: float | None,
        own_slack: Mapping[str, float | None] = MappingProxyType({}),
    ) -> Setting:
        """What thresholds give."""
        dice = self.dice(self.answers(tau, slack, own_slack))
        own, general = self.own_dice(dice), self.general_dice(dice)
        return Setting(self.kind, tau, slack, own, general, self.loss(dice), own_slack)

    def options(self, name: str, answers: Sequence[NDArray[np.bool_]]) -> Options:
        """What ways to answer by one expert, bool [n] each, give and cost."""
        mine = np.array(answers) & (self.top == name)
        gains = self.fused - self.general
        lost = np.array([weights * np.maximum(-gains, 0) for weights in self._by_way])
        return Options(mine @ (self.weights * gains * self.own), mine @ lost.T)

    def _fits(self, slack: float | None) -> NDArray[np.bool_]:
        if slack is None:
            return np.ones(len(self.samples), bool)
        fits: NDArray[np.bool_] = (self._excess <= slack) & ~self._empty
        return fits

    def _shares(self, group: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Weights that sum to 1 in a group, equal for each of its classes; 0 outside."""
        names = [(s.dataset, s.structure) for s in self.samples]
        counts = Counter(name for name, there in zip(names, group, strict=True) if there)
        shares = [1 / (len(counts) * counts[n]) if n in counts else 0.0 for n in names]
        return np.where(group, shares, 0.0)


def grid(bench: Bench) -> list[Setting]:
    """Every pair."""
    return [bench.measure(tau, slack) for slack in SLACKS[bench.kind] for tau in TAUS]


def choose(settings: Sequence[Setting], budget: float) -> Setting:
    """The best pair within the budget; see the module."""
    affordable = [setting for setting in settings if setting.loss <= budget]
    best = max(setting.own for setting in affordable)
    equal = [setting for setting in affordable if setting.own >= best - TIE]
    return min(equal, key=lambda s: (abs(s.tau - 0.5), np.inf if s.slack is None else s.slack))


def benches(samples: Sequence[Sample]) -> list[Bench]:
    """One for each kind of prompt that there is."""
    kinds = {sample.kind for sample in samples}
    return [Bench(samples, kind) for kind in PROMPT_KINDS if kind in kinds]
