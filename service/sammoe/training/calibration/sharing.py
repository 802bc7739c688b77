"""One budget for all experts, shared out by price."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_PRICES: Final = (0.0, *np.geomspace(0.01, 1e4, 61).tolist())


@dataclass(frozen=True, eq=False)
class Options:
    """What an expert's n options give and cost: Dice gained on own classes, float [n], and lost on
    general ones, by way of asking, float [n, ways].
    """

    gained: NDArray[np.float64]
    lost: NDArray[np.float64]


def share(experts: Mapping[str, Options], budget: float) -> dict[str, int]:
    """An option for each expert: the most within a common budget.

    General loss has a price, the same for all experts; each takes the first of the options that
    are best at that price, and the lowest price that keeps the budget is taken.
    """
    taken: dict[str, int] = {}
    for price in _PRICES:
        taken = {
            name: int(np.argmax(options.gained - price * options.lost.max(axis=1)))
            for name, options in experts.items()
        }
        lost = sum(experts[name].lost[place] for name, place in taken.items())
        if np.max(lost) <= budget:
            break
    return taken
