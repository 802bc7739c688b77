"""What a request says about the mixture of experts."""

import math
from dataclasses import dataclass

from sammoe.bundle import Manifest
from sammoe.errors import ExpertUnknown, PromptInvalid

AUTO = "auto"
"""The mixture: the gate decides (general alone where the bundle has no gate)."""

GENERAL = "general"
"""The general decoder alone."""


@dataclass(frozen=True)
class Choice:
    """``expert``: ``"auto"``, ``"general"`` or an expert's name; ``tau``: in place of the bundle's.

    ``tau`` is the gate's threshold in [0, 1] (paper, section 2.3); 1 keeps every expert out.
    ``only``: with ``"auto"``, the one expert that the gate may take, if it takes any.
    ``earlier``: with ``"auto"``, what a gate of heads scored the answer that is refined, one for
    each of the bundle's experts; none where nothing is known of that.
    """

    expert: str = AUTO
    tau: float | None = None
    only: str | None = None
    earlier: tuple[float, ...] = ()


def check_choice(choice: Choice, manifest: Manifest) -> None:
    """Refuse a choice that the bundle can not serve, before any work is spent on it.

    Raises
    ------
    ExpertUnknown
        The bundle has no such expert.
    PromptInvalid
        ``tau`` is no number in [0, 1].
    """
    names = [expert.name for expert in manifest.experts]
    if choice.expert not in {AUTO, GENERAL, *names}:
        known = ", ".join([AUTO, GENERAL, *names])
        raise ExpertUnknown(f"The bundle has no such expert; it has: {known}.", pointer="/expert")
    if choice.tau is not None and not (math.isfinite(choice.tau) and 0 <= choice.tau <= 1):
        raise PromptInvalid("tau must be a number from 0 to 1.", pointer="/tau")
