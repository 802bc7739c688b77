"""A slack for every expert.

One expert's masks are softer than another's, or of smaller structures, of which every click lies
near the rim; so a good mask of the one fits its clicks no better than a wrong one of the other.
"""

from collections.abc import Sequence
from typing import Final

from sammoe.bundle import PromptKind
from sammoe.training.calibration.fitting import SLACKS, TAUS, Bench, Setting, choose
from sammoe.training.calibration.sharing import share

EACH: Final[tuple[PromptKind, ...]] = ("clicks",)
"""Kinds of prompt for which every expert gets a slack of its own. With a box or one click, patients
that were not fitted on gained nothing by it."""

PATIENTS: Final = 3
"""Of its own that an expert needs for a slack of its own."""


def fit_each(bench: Bench, grid: Sequence[Setting], budget: float) -> Setting:
    """A slack for every expert, with the tau that is best beside them; or what `choose` takes of
    ``grid``, where that is as good.

    Experts with fewer than `PATIENTS` have the slack that would be best for all at that tau, and so
    have experts that are added to the bundle later.
    """
    slacks = SLACKS[bench.kind]  # ascending: of equal ones the strictest is taken
    known = bench.experts_of(PATIENTS)
    settings = [choose(grid, budget)]
    for tau in (tau for tau in TAUS if tau < 1):
        common = _common([setting for setting in grid if setting.tau == tau], budget)
        experts = {}
        for name in sorted(set(bench.top.tolist())):
            tried = slacks if name in known else (common,)
            experts[name] = bench.options(name, [bench.answers(tau, slack) for slack in tried])
        places = share(experts, budget)
        own = {name: slacks[place] for name, place in places.items() if name in known}
        settings.append(bench.measure(tau, common, own))
    return choose(settings, budget)


def _common(settings: Sequence[Setting], budget: float) -> float | None:
    """The best slack for all within the budget; where none is, the strictest."""
    affordable = [setting for setting in settings if setting.loss <= budget]
    return max(affordable or settings[:1], key=lambda setting: setting.own).slack
