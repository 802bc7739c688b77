"""A slack for every expert.

One expert's masks are softer than another's, or of smaller structures, of which every click lies
near the rim; so a good mask of the one fits its clicks no better than a wrong one of the other.
"""

from typing import Final

import numpy as np

from sammoe.bundle import PromptKind
from sammoe.training.calibration.fitting import SLACKS, TAUS, Bench, Setting, choose
from sammoe.training.calibration.sharing import share

EACH: Final[tuple[PromptKind, ...]] = ("clicks",)
"""Kinds of prompt for which every expert gets a slack of its own. With a box or one click, patients
that were not fitted on gained nothing by it."""

PATIENTS: Final = 3
"""Of its own that an expert needs for a slack of its own."""


def fit_each(bench: Bench, common: Setting, budget: float) -> Setting:
    """A slack for every expert, with the tau that is best beside them.

    Experts with fewer than `PATIENTS` keep the slack of ``common``, which is the best of those
    with one slack for all.
    """
    slacks = sorted(SLACKS[bench.kind], key=lambda slack: np.inf if slack is None else slack)
    known = bench.experts_of(PATIENTS)
    settings = [common]
    for tau in TAUS[:-1]:
        experts = {}
        for name in sorted(set(bench.top.tolist())):
            tried = slacks if name in known else [common.slack]
            experts[name] = bench.options(name, [bench.answers(tau, slack) for slack in tried])
        places = share(experts, budget)
        own = {name: slacks[place] for name, place in places.items() if name in known}
        settings.append(bench.measure(tau, common.slack, own))
    return choose(settings, budget)
